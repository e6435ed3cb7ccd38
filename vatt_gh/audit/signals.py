"""Signals of a batch: numbers that are higher where picture, sound and words mean the same."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.loss_terms import active_terms
from vatt_gh.models.vatt import Vatt
from vatt_gh.training.gradients import step_gradients
from vatt_gh.training.step import TrainState, draw_randomness

Array = jax.Array


def signals_of(
    model: Vatt,
    state: TrainState,
    batch: dict[str, Array],
    config: ConfigDict,
    cosines: Sequence[tuple[str, str]],
) -> dict[str, Array]:
    """Computes all signals of a batch, without training.

    Args:
        model: built without an axis name.
        state: state from a checkpoint.
        batch: arrays of `vatt_gh.batch.DEVICE_KEYS`.
        config: the whole configuration.
        cosines: (harmonize.cosine_over, harmonize.attribution) of the wanted cosines, at least one.

    Returns:
        {name: [b] float32}: 'cosine PLACE ATTRIBUTION', 'loss audio' and 'loss text' (negated, so
        that more is better), 'similarity audio' and 'similarity text'; only those of the losses
        that the run has, and cosines only where there are two.
    """
    randomness = draw_randomness(state, batch["index"], model)
    found = {}
    for place, attribution in cosines:
        asked = config.copy_and_resolve_references()
        asked.train.microbatch = config.train.microbatch * jax.local_device_count()
        asked.harmonize.update(realign=True, curriculum=False, group=1, engine="ghost", sketch=0)
        asked.harmonize.update(cosine_over=place, attribution=attribution, sketch_check=False)
        step = step_gradients(
            model,
            state.params,
            state.statistics,
            batch,
            randomness,
            jnp.float32(0.0),
            asked,
            None,
        )
        found[f"cosine {place} {attribution}"] = step.decided.cosine
    terms = active_terms(config.loss)
    if len(terms) < 2:  # no second gradient to compare with
        found = {}
    with_video = {term.other: term.name for term in terms if term.anchor == "video"}
    found |= {f"loss {other}": -step.losses[name] for other, name in with_video.items()}
    inputs = {m: batch[m] for m in names.MODALITIES}
    features = model.encode(state.params["towers"], inputs, randomness.keys, randomness.keep)
    embeddings, _ = model.project(state.params["heads"], state.statistics, features)
    unit = {name: x / jnp.linalg.norm(x, axis=-1, keepdims=True) for name, x in embeddings.items()}
    # Heads of a loss that the run does not have were never trained.
    if "audio" in with_video:
        similar = jnp.einsum("bd,bd->b", unit["video_to_audio"], unit["audio_to_video"])
        found["similarity audio"] = similar
    if "text" in with_video:
        similar = jnp.einsum("bd,bkd->bk", unit["video_to_text"], unit["text_to_video"])
        found["similarity text"] = jnp.max(similar, axis=1)
    return found
