"""From the configuration to harmonization: its schedule, its method, its engine."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vatt_gh.harmonize import (
    Method,
    Pass,
    at_features,
    drop_lowest,
    gamma_schedule,
    ghost,
    in_groups,
    per_sample,
    share_schedule,
)
from vatt_gh.harmonize.engine import Encode, Finish
from vatt_gh.models.vatt import Vatt

Array = jax.Array
Tree = Any


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


def kept_terms(
    losses: dict[str, Array],
    batch: dict[str, Array],
    share: Array,
    config: ConfigDict,
    axis_name: str | None,
) -> dict[str, Array]:
    """Which samples each loss keeps where the curriculum goes by the losses themselves (ours).

    A pair that does not belong together has a large loss once the model has learnt something. Each
    loss drops for itself: a wrong caption costs the sample its caption, not its sound.

    Args:
        losses: [b] float32 by name, each of the video with that modality.
        batch: has the modalities' masks, [b] bool.
        share: [] float32 in [0, 1), of the global batch; the number dropped is rounded down.
        config: the whole configuration.
        axis_name: named axis of the devices, or None.

    Returns:
        [b] float32 by name, 0 or 1; 1 everywhere where the curriculum goes by something else.
    """
    if not (config.harmonize.curriculum and config.harmonize.signal == "loss"):
        return {name: jnp.ones_like(loss) for name, loss in losses.items()}
    return {
        name: drop_lowest(-loss, batch["video_mask"] & batch[f"{name}_mask"], share, axis_name)
        for name, loss in losses.items()
    }


def engine_of(
    config: ConfigDict,
    model: Vatt,
    encode: Encode,
    towers: Tree,
    passes: Sequence[Pass],
    sketch_key: Array,
    losses: int,
) -> tuple[list[Tree], Finish]:
    """Encodes a batch with the engine that the configuration names.

    Args:
        config: the whole configuration.
        model: whose towers these are.
        encode: of one sample.
        towers: parameters.
        passes: of [b, ...] samples.
        sketch_key: random key of the sketch's signs.
        losses: how many there are.

    Returns:
        The features of each pass, and the engine's second half, see `harmonize.engine`.
    """
    harmonize = config.harmonize
    common = {"losses": losses, "microbatch": config.train.microbatch // harmonize.group}
    shared = model.is_last_block if harmonize.cosine_over == "last_block" else model.is_shared

    def engine(encode: Encode, passes: Sequence[Pass]) -> tuple[list[Tree], Finish]:
        if harmonize.cosine_over == "features":
            return at_features(encode, towers, passes, **common)
        if harmonize.engine == "vmap":
            return per_sample(encode, towers, passes, **common, shared=shared)
        sketch = {"sketch": harmonize.sketch, "sketch_check": harmonize.sketch_check}
        return ghost(encode, towers, passes, **common, shared=shared, **sketch, key=sketch_key)

    return in_groups(engine, encode, passes, harmonize.group)
