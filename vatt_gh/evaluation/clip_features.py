"""Features and embeddings of whole clips: of windows first, then their means."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import tree

from vatt_gh.batch import AUDIOVISUAL
from vatt_gh.data.clips import LABELS, LENGTH, NUMBER, SAID, SPLIT, parted
from vatt_gh.errors import UserError
from vatt_gh.evaluation.features import Weights, embed_batch
from vatt_gh.evaluation.hosts import of_all_hosts
from vatt_gh.evaluation.measures import group_means
from vatt_gh.models.vatt import Vatt

_KEPT = ("video_id", SPLIT, LABELS, SAID, "video_mask", "audio_mask", NUMBER, LENGTH)


@dataclasses.dataclass(frozen=True)
class EmbeddedClips:
    """A model's outputs for the n windows of N clips.

    Attributes:
        ids: [N] str, ids of the clips, sorted: no score depends on the order of records.
        splits: split of each clip, as it is stored.
        labels: names of the classes of each clip.
        said: captions of each clip.
        clip: [n] int64, the clip of each window.
        length: [n] int32, frames of each window's record. A clip that is longer than
            a record has several, with as many windows each, and the last one may be short.
        features: pooled features, [n, d] float32 by modality.
        embeddings: embeddings of the heads, [n, D] float32 by name.
        masks: [n] bool by modality, whether the window has it.
    """

    ids: np.ndarray
    splits: list[str]
    labels: list[list[str]]
    said: list[list[str]]
    clip: np.ndarray
    length: np.ndarray
    features: dict[str, np.ndarray]
    embeddings: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]

    def with_modality(self, modality: str) -> np.ndarray:
        """Tells which clips, [N] bool, have a window with the modality."""
        return np.bincount(self.clip[self.masks[modality]], minlength=len(self.ids)) > 0

    def mean(self, values: np.ndarray, modality: str) -> np.ndarray:
        """Averages over the windows of each clip that have the modality.

        A window counts by the length of its record, so that every second of a clip counts alike.

        Args:
            values: [n, ...] float32.
            modality: 'video' or 'audio'.

        Returns:
            [N, ...] float64; NaN for a clip without such a window.
        """
        there = self.masks[modality]
        return group_means(values[there], self.clip[there], self.length[there], len(self.ids))


def embed_clips_whole(
    model: Vatt,
    weights: Sequence[Weights],
    batches: Iterable[dict[str, np.ndarray]],
    size: int,
    modalities: Sequence[str],
    heads: bool = True,
) -> list[EmbeddedClips]:
    """Embeds all windows with each of several weights; reads them once.

    Args:
        model: built without an axis name.
        weights: weights of the model.
        batches: this host's batches from `data.clips.clip_windows`.
        size: windows of a batch; a smaller last one is filled up.
        modalities: modalities to embed: 'video', 'audio' or both.
        heads: also keeps the heads' embeddings; False: hosts then exchange features alone.

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
        seen = seen if heads else [(features, {}) for features, _ in seen]
        part = {**{name: batch[name] for name in _KEPT}, "seen": seen}
        parts.append(tree.map_structure(lambda x, rows=readable: x[rows], part))
    every = of_all_hosts(parts)
    if every is None or not len(every["video_id"]):
        raise UserError(
            "There is no clip to evaluate.",
            where="the records of --config.eval.data_dir",
            expected=f"clips with {' or '.join(modalities)}",
            todo="build them again; skipped.jsonl of the build says what was left out",
        )
    # A list may have an id in two of its splits: these are two clips.
    places = np.array([b"\n".join(x) for x in zip(every["video_id"], every[SPLIT], strict=True)])
    _, first, clip = np.unique(places, return_index=True, return_inverse=True)
    firsts = {name: every[name][first] for name in ("video_id", SPLIT, LABELS)}
    return [
        EmbeddedClips(
            ids=np.array([x.decode("utf-8") for x in firsts["video_id"]]),
            splits=[x.decode("utf-8") for x in firsts[SPLIT]],
            labels=[parted(x) for x in firsts[LABELS]],
            said=_captions(every[SAID], every[NUMBER], clip),
            clip=clip,
            length=every[LENGTH],
            features=features,
            embeddings=embeddings,
            masks={m: every[f"{m}_mask"] for m in AUDIOVISUAL},
        )
        for features, embeddings in every["seen"]
    ]


def _captions(said: np.ndarray, record: np.ndarray, clip: np.ndarray) -> list[list[str]]:
    """Collects the captions of each clip; overlapping records may repeat them.

    A record repeats a caption that several people wrote.

    Args:
        said: [n] bytes of each window, see `data.clips.parted`.
        record: [n] int64, the record of each window.
        clip: [n] int64, the clip of each window.

    Returns:
        For each clip its captions, each as often as in the record that repeats it most.
    """
    found = [Counter() for _ in range(clip.max() + 1)]
    for row in np.unique(record, return_index=True)[1]:
        found[clip[row]] |= Counter(parted(said[row]))
    return [list(captions.elements()) for captions in found]
