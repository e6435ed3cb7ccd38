"""AudioSet's measures of a linear classifier on frozen features of sound."""

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vatt_gh.errors import UserError
from vatt_gh.evaluation.by_protocol import ByProtocol
from vatt_gh.evaluation.folds import clips_of
from vatt_gh.evaluation.held_out import HeldOut
from vatt_gh.evaluation.measures import multi_label_scores
from vatt_gh.evaluation.protocols import MULTI_LABEL, PROTOCOLS

PENALTIES = tuple(10.0**k for k in range(-1, 6))
_DRAWS = 100  # draws of the bootstrap: each sorts all clips for all classes


class MultiLabel(ByProtocol):
    """A linear classifier of clips with several classes each; see `evaluators.Evaluator`.

    Ridge regression of all classes at once, as 0 or 1, on features scaled to mean 0 and variance 1;
    the penalty is the best of PENALTIES by leave-one-out on the clips that it is fitted on. Ours:
    the original is fine-tuned on this set.
    """

    name = MULTI_LABEL
    count_key = "multi_label_clips"

    def run(self, weights: str, held_out: HeldOut) -> tuple[int, dict[str, dict[str, float]]]:
        """Implements `Evaluator.run`; the count is of test clips.

        Returns:
            The count; 'mean_average_precision', 'auc' and 'd_prime', means over the classes that
            some test clips have and others have not, and the number of these 'classes'.

        Raises:
            UserError: a split is not there, or no class can be scored.
        """
        protocol = PROTOCOLS[held_out.builder]
        (fold,) = protocol.folds
        wanted = {*fold[0], fold[1]}
        features, labels, splits = held_out.labelled(weights, protocol.modality, wanted)
        fitted, tested = clips_of(fold, splits, range(len(splits)), held_out.builder)
        names = sorted({name for mine in labels for name in mine})
        truth = np.array([[name in mine for name in names] for mine in labels], np.float64)
        tests = truth[tested]
        model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
        answers = model.fit(features[fitted], truth[fitted]).predict(features[tested])
        answers = answers.reshape(tests.shape)
        return len(tests), measured_with_intervals(answers, tests)


def measured_with_intervals(answers: np.ndarray, truth: np.ndarray) -> dict[str, dict[str, float]]:
    """Computes AudioSet's measures of clips that may have several classes.

    Args:
        answers: [N, K] float, higher is likelier.
        truth: [N, K] 0 or 1.

    Returns:
        'mean_average_precision', 'auc' and 'd_prime', means over the classes that some clips have
        and others have not, each {'value', 'chance', 'low', 'high'}, and the number of these
        'classes'.

    Raises:
        UserError: there is no such class.
    """
    classes = _scored(truth)
    if not classes.any():
        raise UserError(
            f"No class can be scored: the {len(truth)} test clips have the same ones.",
            where="the labels of the test clips",
            expected="a class that some of them have and others have not",
            todo="build the whole test split",
        )
    chance = {
        "mean_average_precision": float(truth[:, classes].mean()),
        "auc": 0.5,
        "d_prime": 0.0,
    }
    scores = {
        name: {"value": value, "chance": chance[name], **ends}
        for (name, value), ends in zip(
            _measured(answers, truth).items(), _intervals(answers, truth), strict=True
        )
    }
    return scores | {"classes": {"value": float(classes.sum())}}


def _scored(truth: np.ndarray) -> np.ndarray:
    """Marks the classes, [K] bool, that some clips have and others have not."""
    share = truth.mean(axis=0)
    return (share > 0) & (share < 1)


def _measured(answers: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    classes = _scored(truth)
    return multi_label_scores(answers[:, classes], truth[:, classes])


def _intervals(answers: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """Computes the ends of the 95 % intervals of all measures, by bootstrap over clips."""
    rng, draws = np.random.default_rng(0), []
    while len(draws) < _DRAWS:
        rows = rng.integers(0, len(truth), len(truth))
        if _scored(truth[rows]).any():
            draws.append(list(_measured(answers[rows], truth[rows]).values()))
    low, high = np.percentile(draws, (2.5, 97.5), axis=0)
    return [{"low": float(a), "high": float(b)} for a, b in zip(low, high, strict=True)]
