"""Linear probes: accuracy of a linear classifier on frozen features."""

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from vatt_gh.errors import UserError
from vatt_gh.evaluation.bootstrap import interval
from vatt_gh.evaluation.held_out import HeldOut

_FOLDS = 4


@contextlib.contextmanager
def quiet_fitting() -> Iterator[None]:
    """Fits classifiers on one thread, without warnings that mean nothing here."""
    # For such small products, threads mostly wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        # The score is that of the classifier after its last iteration.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Labels are names, so that many unique classes do not mean a regression target.
        warnings.filterwarnings("ignore", "The number of unique classes is greater than")
        yield


def probe_accuracy(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> dict[str, float]:
    """Measures the accuracy of logistic regression on clips of videos not used for fitting.

    Cross-validated over groups of videos: every clip is tested once.

    Args:
        features: [N, D] float32, frozen.
        labels: [N] class of each clip, any type.
        groups: [N] video of each clip; a video is never on both sides of a split.

    Returns:
        {'value': share of clips classified correctly, 'chance': share of the largest class, 'low',
        'high': a 95 % interval over videos}.

    Raises:
        UserError: there are fewer videos than folds, or only one class.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(np.unique(groups)) < _FOLDS or len(classes) < 2:
        raise UserError(
            f"{len(np.unique(groups))} videos with {len(classes)} class(es) are too few to probe.",
            where="the held-out clips",
            expected=f"at least {_FOLDS} videos and 2 classes",
            todo="evaluate on more videos",
        )
    # A fit in float32 depends on the number of threads.
    features, right = features.astype(np.float64), np.zeros(len(labels))
    for train, test in GroupKFold(_FOLDS).split(features, labels, groups):
        if len(np.unique(labels[train])) == 1:  # nothing to fit: there is only one answer
            right[test] = labels[test] == labels[train][0]
            continue
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
        with quiet_fitting():
            probe.fit(features[train], labels[train])
        right[test] = probe.predict(features[test]) == labels[test]
    chance = float(counts.max() / len(labels))
    return {"value": float(right.mean()), "chance": chance} | interval([right], groups=[groups])


class Probe:
    """Probes of video and sound features for planted classes; see `evaluators.Evaluator`."""

    name = "probe"
    count_key = "probe_clips"

    def wants(self, held_out: HeldOut) -> bool:
        """Tells whether the clips' classes are known."""
        return held_out.known is not None

    def run(self, weights: str, held_out: HeldOut) -> tuple[int, dict[str, dict[str, float]]]:
        """Implements `Evaluator.run`.

        Raises:
            UserError: there are too few clips to probe.
        """
        count = held_out.config.eval.probe_clips or held_out.config.eval.max_clips
        clips = held_out.clips[weights].first(count)
        where = zip(clips.video_ids, clips.start, clips.end, strict=True)
        seen, heard = np.array([held_out.known.classes(*clip) for clip in where]).T
        sound, videos = clips.audio_mask, clips.video_ids
        scores = {
            "video_accuracy": probe_accuracy(clips.features["video"], seen, videos),
            "audio_accuracy": probe_accuracy(
                clips.features["audio"][sound], heard[sound], videos[sound]
            ),
        }
        return len(clips.captions), scores
