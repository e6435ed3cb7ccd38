"""Signals of a batch: numbers that are higher where picture, sound and words mean the same."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.config import default
from vatt_gh.loss_terms import LossTerm, active_terms
from vatt_gh.models.vatt import Vatt
from vatt_gh.training.gradients import step_gradients
from vatt_gh.training.step import TrainState, draw_randomness

Array = jax.Array


def label_of(term: LossTerm) -> str:
    """Names the modalities that a loss compares, without 'video': 'audio', 'text', 'audio text'."""
    return " ".join(modality for modality in term.modalities if modality != names.VIDEO)


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
        {name: [b] float32}: 'cosine PLACE ATTRIBUTION', and for each loss of the run 'loss LABEL'
        (negated, so that more is better) and 'similarity LABEL', the cosine of its two embeddings;
        for labels see `label_of`. Cosines of gradients only where there are two losses.
    """
    randomness = draw_randomness(state, batch["index"], model)
    found = {}
    for place, attribution in cosines:
        asked = config.copy_and_resolve_references()
        asked.train.microbatch = config.train.microbatch * jax.local_device_count()
        # Exact cosines of single samples, by the default engine, however the run decides.
        asked.harmonize.update(default().harmonize)
        asked.harmonize.update(
            realign=True, curriculum=False, cosine_over=place, attribution=attribution
        )
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
    inputs = {m: batch[m] for m in names.MODALITIES}
    features = model.encode(state.params["towers"], inputs, randomness.keys, randomness.keep)
    embeddings, _ = model.project(state.params["heads"], state.statistics, features)
    unit = {name: x / jnp.linalg.norm(x, axis=-1, keepdims=True) for name, x in embeddings.items()}
    for term in terms:  # heads of the other losses were never trained
        found[f"loss {label_of(term)}"] = -step.losses[term.name]
        anchor = unit[f"{term.anchor}_to_{term.other}"]
        other = unit[f"{term.other}_to_{term.anchor}"].reshape(len(anchor), -1, anchor.shape[-1])
        similar = jnp.einsum("bd,bkd->bk", anchor, other)
        found[f"similarity {label_of(term)}"] = jnp.max(similar, axis=1)
    return found
