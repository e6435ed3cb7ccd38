"""Builds harmonization from the configuration: schedule, method, and engine."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vatt_gh.config import drops_per_loss
from vatt_gh.harmonize import (
    ENGINES,
    AtFeatures,
    Engine,
    Method,
    drop_lowest,
    gamma_schedule,
    share_schedule,
)
from vatt_gh.loss_terms import LossTerm

Array = jax.Array
_DROPS = 0xD20B  # draws apart from those of dropout


def schedule_of(harmonize: ConfigDict, step: Array) -> Array:
    """Computes the curriculum's cutoff at a step: a threshold on the cosine, or a share to drop.

    Args:
        harmonize: section of the configuration.
        step: [] int32, from 0.

    Returns:
        [] float32.
    """
    when = {"steps": harmonize.curriculum_steps, "begin": harmonize.curriculum_begin}
    if harmonize.select == "share":
        ends = {"start": harmonize.share_start, "end": harmonize.share_end}
        return share_schedule(step, **ends, **when)
    return gamma_schedule(step, start=harmonize.gamma_start, end=harmonize.gamma_end, **when)


def method_of(harmonize: ConfigDict, axis_name: str | None) -> Method:
    """Builds the method that computes the samples' coefficients.

    Args:
        harmonize: section of the configuration.
        axis_name: named axis of the devices, or None.

    Returns:
        The method.
    """
    return Method(
        realign=harmonize.realign,
        curriculum=harmonize.curriculum and harmonize.signal == "cosine",
        soft_temperature=harmonize.soft_temperature,
        select=harmonize.select,
        equal_lengths=harmonize.equal_lengths,
        axis_name=axis_name,
    )


def engine_of(harmonize: ConfigDict) -> Engine:
    """Builds the engine that compares and sums gradients.

    Args:
        harmonize: section of the configuration.

    Returns:
        The engine; its fields take the values of the keys of the same names.
    """
    if harmonize.cosine_over == "features":
        return AtFeatures()
    kind = ENGINES[harmonize.engine]
    return kind(**{field.name: harmonize[field.name] for field in dataclasses.fields(kind)})


def kept_terms(
    losses: dict[str, Array],
    keys: Array,
    batch: dict[str, Array],
    terms: Sequence[LossTerm],
    share: Array,
    harmonize: ConfigDict,
    axis_name: str | None,
) -> dict[str, Array]:
    """Marks the samples that each loss keeps, if each loss drops by itself (ours).

    A mismatched pair has a large loss once the model has learnt something. Each loss drops samples
    separately: a wrong caption costs the sample its caption, not its sound. Dropping at random
    shows the effect of a signal without information.

    Args:
        losses: [b] float32 by loss term.
        keys: [b] random keys of the samples.
        batch: has the modalities' masks, [b] bool.
        terms: loss terms of the run.
        share: [] float32 in [0, 1), share of the global batch; the number dropped is rounded down.
        harmonize: section of the configuration.
        axis_name: named axis of the devices, or None.

    Returns:
        [b] float32 by loss term, 0 or 1; all 1 if the curriculum uses another signal.
    """
    if not drops_per_loss(harmonize):
        return {name: jnp.ones_like(loss) for name, loss in losses.items()}
    if harmonize.signal == "random":
        signals = _random_signals(keys, terms)
    else:
        signals = {name: -loss for name, loss in losses.items()}
    return {
        t.name: drop_lowest(signals[t.name], has_both(batch, t), share, axis_name) for t in terms
    }


def _random_signals(keys: Array, terms: Sequence[LossTerm]) -> dict[str, Array]:
    """Draws [b] float32 in [0, 1) by loss term, the same on any number of devices."""

    def draw(key: Array) -> Array:
        return jax.random.uniform(jax.random.fold_in(key, _DROPS), (len(terms),))

    return {t.name: x for t, x in zip(terms, jax.vmap(draw)(keys).T, strict=True)}


def has_both(batch: dict[str, Array], term: LossTerm) -> Array:
    """Tells whether a sample has the two modalities that a loss term compares, [b] bool."""
    return batch[f"{term.anchor}_mask"] & batch[f"{term.other}_mask"]
