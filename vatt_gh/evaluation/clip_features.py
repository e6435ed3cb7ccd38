"""Features and embeddings of whole clips: of windows first, then their means."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from vatt_gh.data.clips import LABELS, SAID, lines
from vatt_gh.errors import UserError
from vatt_gh.evaluation.features import Weights, embed_batch
from vatt_gh.models.vatt import Vatt


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
        batches: of `data.clips.clip_windows`.
        size: windows of a batch; a smaller last one is padded.
        modalities: the ones that are embedded, of 'video' and 'audio'.

    Returns:
        The clips as each of the weights sees them. A window that cannot be read is not among them.

    Raises:
        UserError: there is no window with one of these modalities.
    """
    parts: list[list[tuple[dict[str, Any], dict[str, Any]]]] = [[] for _ in weights]
    host: dict[str, list[np.ndarray]] = {name: [] for name in ("video_id", LABELS, SAID)}
    masks: dict[str, list[np.ndarray]] = {m: [] for m in ("video", "audio")}
    for batch in batches:
        readable = np.any([batch[f"{m}_mask"] for m in modalities], axis=0)
        inputs = {m: batch[m] for m in modalities}
        for found, each in zip(parts, weights, strict=True):
            features, embeddings = embed_batch(model, each, inputs, size)
            found.append(
                tuple({k: x[readable] for k, x in d.items()} for d in (features, embeddings))
            )
        for name, values in host.items():
            values.append(batch[name][readable])
        for m, values in masks.items():
            values.append(batch[f"{m}_mask"][readable])
    ids = np.concatenate(host["video_id"]) if host["video_id"] else np.array([])
    if not len(ids):
        raise UserError(
            "There is no clip to evaluate.",
            where="the records of --config.eval.data_dir",
            expected=f"clips with {' or '.join(modalities)}",
            todo="build them again; skipped.jsonl of the build says what was left out",
        )
    labels, said = np.concatenate(host[LABELS]), np.concatenate(host[SAID])
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
            features=_joined([features for features, _ in found]),
            embeddings=_joined([embeddings for _, embeddings in found]),
            masks={m: np.concatenate(values) for m, values in masks.items()},
        )
        for found in parts
    ]


def _all_lines(joined: np.ndarray, clip: np.ndarray, number: int) -> list[str]:
    """The captions of a clip, whose records may hold different ones."""
    return [line for text in dict.fromkeys(joined[clip == number]) for line in lines(text)]


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
