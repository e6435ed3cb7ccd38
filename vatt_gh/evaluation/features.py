"""Features and embeddings of a stream of clips."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from vatt_gh.batch import MODALITIES
from vatt_gh.data.clips import CAPTION, NUMBER
from vatt_gh.data.text import Tokenizer
from vatt_gh.errors import UserError
from vatt_gh.evaluation.hosts import of_all_hosts
from vatt_gh.models.vatt import Vatt
from vatt_gh.report.strips import first_middle_last
from vatt_gh.training.parallel import spread


@dataclasses.dataclass(frozen=True)
class Clips:
    """A model's outputs for N clips, and the clips' data.

    Attributes:
        features: pooled, by modality: 'video' [N, d_v], 'audio' [N, d_a], 'text' [N, 1, d_t].
        embeddings: embeddings of the heads, e.g. 'video_to_text' [N, D], 'text_to_video' [N, 1, D].
        captions: [N] str.
        video_ids: [N] str.
        start, end: [N] float32, seconds in the source video.
        audio_mask: [N] bool, False where a clip has no sound.
        frames: [N, 3, H, W, 3] uint8: first, middle and last one, for pictures.
    """

    features: dict[str, np.ndarray]
    embeddings: dict[str, np.ndarray]
    captions: np.ndarray
    video_ids: np.ndarray
    start: np.ndarray
    end: np.ndarray
    audio_mask: np.ndarray
    frames: np.ndarray

    def first(self, count: int) -> "Clips":
        """Returns the first `count` clips, or all if there are fewer."""
        mine = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Clips(**jax.tree.map(lambda x: x[:count], mine))


# All models of the same form share one program, in all evaluations.
_embed = jax.jit(Vatt.embed, static_argnums=0)
_KEPT = (CAPTION, "video_id", "start", "end", "audio_mask", NUMBER)
# Parameters of towers and heads, and the heads' batch statistics.
Weights = tuple[Any, Any]


def embed_clips(
    model: Vatt, weights: Sequence[Weights], batches: Iterable[dict[str, np.ndarray]], size: int
) -> list[Clips]:
    """Runs models of the same form on clips, reading them once: all tokens, no dropout.

    Args:
        model: built without an axis name.
        weights: weights of each model.
        batches: this host's batches from `data.clips.captioned_clips`.
        size: clips per batch; a smaller last one is filled up, so that one compilation suffices.

    Returns:
        All clips of all hosts in order, with the outputs of each model.

    Raises:
        UserError: there is no clip.
    """
    parts = []
    for batch in batches:
        inputs = {m: batch[m] for m in MODALITIES}
        seen = [embed_batch(model, each, inputs, size) for each in weights]
        kept = {name: batch[name] for name in _KEPT}
        # All frames would fill the memory.
        frames = batch["video"][:, first_middle_last(batch["video"].shape[1])]
        parts.append({**kept, "frames": frames, "seen": seen})
    every = of_all_hosts(parts)
    if every is None:
        raise UserError(
            "There is no clip to evaluate.",
            where="the records of --config.eval.data_dir (config.data.data_dir where it is empty)",
            expected="at least one caption",
            todo="evaluate on records that were built with captions",
        )
    return [
        Clips(
            features=features,
            embeddings=embeddings,
            captions=_text(every["caption"]),
            video_ids=_text(every["video_id"]),
            start=every["start"],
            end=every["end"],
            audio_mask=every["audio_mask"],
            frames=every["frames"],
        )
        for features, embeddings in every["seen"]
    ]


def _text(values: np.ndarray) -> np.ndarray:
    return np.array([x.decode("utf-8") for x in values])


def embed_batch(
    model: Vatt, weights: Weights, inputs: dict[str, np.ndarray], size: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Computes features and embeddings of a batch, on all devices of this host.

    The batch is filled up so that one program serves all.

    Args:
        model: built without an axis name.
        weights: weights of the model.
        inputs: arrays of at most `size` samples, by modality.
        size: size of the filled batch.

    Returns:
        The results of `Vatt.embed`, without the padding.
    """
    count = len(next(iter(inputs.values())))
    devices = jax.local_device_count()
    whole = -(-size // devices) * devices
    out = _embed(model, *weights, spread({m: filled_up(x, whole) for m, x in inputs.items()}))
    return jax.tree.map(lambda x: np.asarray(x)[:count], out)


def embed_texts(
    model: Vatt, weights: Weights, texts: Sequence[str], tokenizer: Tokenizer, size: int
) -> np.ndarray:
    """Embeds sentences.

    Args:
        model: built without an axis name.
        weights: weights of the model.
        texts: N sentences.
        tokenizer: tokenizer of the run.
        size: sentences of a batch.

    Returns:
        [N, D] float32, the head's 'text_to_video'.
    """
    ids = tokenizer(tf.constant(list(texts))).numpy()[:, None]
    parts = [
        embed_batch(model, weights, {"text": ids[first : first + size]}, size)[1]
        for first in range(0, len(ids), size)
    ]
    return np.concatenate([part["text_to_video"][:, 0] for part in parts])


def filled_up(x: np.ndarray, size: int) -> np.ndarray:
    """Fills up [n, ...] to [size, ...] with zeros."""
    return np.pad(x, [(0, size - len(x))] + [(0, 0)] * (x.ndim - 1))
