"""From the configuration to harmonization: its schedule, its method, its engine."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

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


def schedule_of(config: ConfigDict, step: Array) -> Array:
    """What the curriculum drops at a step: a threshold on the cosine, or a share of the batch.

    Args:
        config: the whole configuration.
        step: [] int32, from 0.

    Returns:
        [] float32.
    """
    harmonize = config.harmonize
    when = {"steps": harmonize.curriculum_steps, "begin": harmonize.curriculum_begin}
    if harmonize.select == "share":
        ends = {"start": harmonize.share_start, "end": harmonize.share_end}
        return share_schedule(step, **ends, **when)
    return gamma_schedule(step, start=harmonize.gamma_start, end=harmonize.gamma_end, **when)


def method_of(config: ConfigDict, axis_name: str | None) -> Method:
    """The method that decides upon samples.

    Args:
        config: the whole configuration.
        axis_name: named axis of the devices, or None.

    Returns:
        The method.
    """
    harmonize = config.harmonize
    return Method(
        realign=harmonize.realign,
        curriculum=harmonize.curriculum and harmonize.signal == "cosine",
        soft_temperature=harmonize.soft_temperature,
        select=harmonize.select,
        equal_lengths=harmonize.equal_lengths,
        axis_name=axis_name,
    )


def engine_of(config: ConfigDict) -> Engine:
    """The engine that compares and adds up gradients.

    Args:
        config: the whole configuration.

    Returns:
        The engine; its fields have the values of the keys of config.harmonize with their names.
    """
    harmonize = config.harmonize
    if harmonize.cosine_over == "features":
        return AtFeatures()
    kind = ENGINES[harmonize.engine]
    return kind(**{field.name: harmonize[field.name] for field in dataclasses.fields(kind)})


def kept_terms(
    losses: dict[str, Array],
    batch: dict[str, Array],
    terms: Sequence[LossTerm],
    share: Array,
    config: ConfigDict,
    axis_name: str | None,
) -> dict[str, Array]:
    """Which samples each loss keeps where the curriculum goes by the losses themselves (ours).

    A pair that does not belong together has a large loss once the model has learnt something. Each
    loss drops for itself: a wrong caption costs the sample its caption, not its sound.

    Args:
        losses: [b] float32 by the terms' names.
        batch: has the modalities' masks, [b] bool.
        terms: of the run.
        share: [] float32 in [0, 1), of the global batch; the number dropped is rounded down.
        config: the whole configuration.
        axis_name: named axis of the devices, or None.

    Returns:
        [b] float32 by name, 0 or 1; 1 everywhere where the curriculum goes by something else.
    """
    if not (config.harmonize.curriculum and config.harmonize.signal == "loss"):
        return {name: jnp.ones_like(loss) for name, loss in losses.items()}
    return {
        t.name: drop_lowest(-losses[t.name], has_both(batch, t), share, axis_name) for t in terms
    }


def has_both(batch: dict[str, Array], term: LossTerm) -> Array:
    """[b] bool, whether a sample has the two modalities that a term compares."""
    return batch[f"{term.anchor}_mask"] & batch[f"{term.other}_mask"]
