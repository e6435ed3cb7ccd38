"""Features and embeddings of whole clips: of windows first, then their means."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import tree

from vatt_gh.data.clips import LABELS, NUMBER, SAID, lines
from vatt_gh.errors import UserError
from vatt_gh.evaluation.features import Weights, embed_batch
from vatt_gh.evaluation.hosts import gathered
from vatt_gh.models.vatt import Vatt

_KEPT = ("video_id", LABELS, SAID, "video_mask", "audio_mask", NUMBER)


@dataclasses.dataclass(frozen=True)
class EmbeddedClips:
    """What a model makes of the n windows of N clips.

    Attributes:
        ids: [N] str, of the clips, in order of their first windows.
        labels: of each clip, names of its classes.
        said: of each clip, its captions.
        clip: [n] int64, the clip of each window.
        features: pooled, by modality [n, d] float32.
        embeddings: of the heads, by name [n, D] float32.
        masks: by modality [n] bool, whether the window has it.
    """

    ids: np.ndarray
    labels: list[list[str]]
    said: list[list[str]]
    clip: np.ndarray
    features: dict[str, np.ndarray]
    embeddings: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]

    def with_modality(self, modality: str) -> np.ndarray:
        """[N] bool, whether a clip has a window with the modality."""
        return np.bincount(self.clip[self.masks[modality]], minlength=len(self.ids)) > 0

    def mean(self, values: np.ndarray, modality: str) -> np.ndarray:
        """Means over the windows of each clip that have the modality.

        Args:
            values: [n, ...] float32.
            modality: 'video' or 'audio'.

        Returns:
            [N, ...] float64; NaN for a clip without such a window.
        """
        there = self.masks[modality]
        total = np.zeros((len(self.ids), *values.shape[1:]))
        np.add.at(total, self.clip[there], values[there])
        count = np.bincount(self.clip[there], minlength=len(self.ids)).astype(np.float64)
        count[count == 0] = np.nan
        return total / count.reshape(-1, *[1] * (values.ndim - 1))


def embed_clips_whole(
    model: Vatt,
    weights: Sequence[Weights],
    batches: Iterable[dict[str, np.ndarray]],
    size: int,
    modalities: Sequence[str],
) -> list[EmbeddedClips]:
    """Embeds all windows with each of several weights; reads them once.

    Args:
        model: built without an axis name.
        weights: of the model.
        batches: this host's, of `data.clips.clip_windows`.
        size: windows of a batch; a smaller last one is padded.
        modalities: the ones that are embedded, of 'video' and 'audio'.

    Returns:
        The clips of all hosts as each of the weights sees them; no window that cannot be read.

    Raises:
        UserError: there is no window with one of these modalities.
    """
    parts = []
    for batch in batches:
        readable = np.any([batch[f"{m}_mask"] for m in modalities], axis=0)
        inputs = {m: batch[m] for m in modalities}
        seen = [embed_batch(model, each, inputs, size) for each in weights]
        part = {**{name: batch[name] for name in _KEPT}, "seen": seen}
        parts.append(tree.map_structure(lambda x, rows=readable: x[rows], part))
    every = gathered(parts)
    if every is None or not len(every["video_id"]):
        raise UserError(
            "There is no clip to evaluate.",
            where="the records of --config.eval.data_dir",
            expected=f"clips with {' or '.join(modalities)}",
            todo="build them again; skipped.jsonl of the build says what was left out",
        )
    ids, labels, said = (every[name] for name in ("video_id", LABELS, SAID))
    _, first, clip = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as they came
    rank = np.argsort(order)
    captions = [list(dict.fromkeys(_all_lines(said, clip, n))) for n in order]
    return [
        EmbeddedClips(
            ids=np.array([x.decode("utf-8") for x in ids[first[order]]]),
            labels=[lines(x) for x in labels[first[order]]],
            said=captions,
            clip=rank[clip],
            features=features,
            embeddings=embeddings,
            masks={m: every[f"{m}_mask"] for m in ("video", "audio")},
        )
        for features, embeddings in every["seen"]
    ]


def _all_lines(joined: np.ndarray, clip: np.ndarray, number: int) -> list[str]:
    """The captions of a clip, whose records may hold different ones."""
    return [line for text in dict.fromkeys(joined[clip == number]) for line in lines(text)]
