"""The original's learning rates, and Keras's Adam and SGD as optax transformations."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

Array = jax.Array
Schedule = Callable[[Array], Array]


def stepped_cosine(
    levels: Sequence[float], starts: Sequence[int], total: int, *, warmup_from: float = 0.0
) -> Schedule:
    """Builds a linear warm-up, then half cosines from level to level, the last one to zero.

    Args:
        levels: learning rates l_0, l_1, ...
        starts: the step at which each level is reached; the first is the length of the warm-up.
        total: step at which zero is reached; if it equals the last start, the rate stays at the
            last level (the original divides by zero there).
        warmup_from: learning rate at step 0.

    Returns:
        step [] int32 -> learning rate [] float32.

    Raises:
        ValueError: levels and starts differ in number, or starts do not increase.
    """
    if len(levels) != len(starts) or list(starts) != sorted(starts) or total < starts[-1]:
        raise ValueError(f"levels {levels} do not fit starts {starts} and total {total}")
    ends = [*starts[1:], total]
    targets = [*levels[1:], 0.0]

    def rate(step: Array) -> Array:
        step = jnp.asarray(step, jnp.float32)
        value = warmup_from + step / max(starts[0], 1) * (levels[0] - warmup_from)
        for level, target, start, end in zip(levels, targets, starts, ends, strict=True):
            if end == start:
                falling = jnp.float32(level)
            else:
                phase = jnp.clip((step - start) / (end - start), 0.0, 1.0)
                falling = (level - target) * (jnp.cos(np.pi * phase) + 1.0) / 2.0 + target
            value = jnp.where(step >= start, falling, value)
        return value

    return rate


class KerasAdamState(NamedTuple):
    """count: [] int32, updates so far; first, second: moments, trees like the parameters."""

    count: Array
    first: optax.Updates
    second: optax.Updates


def keras_adam(
    rate: Schedule, *, b1: float, b2: float, epsilon: float
) -> optax.GradientTransformation:
    """Builds Adam with epsilon outside the bias correction, as in Keras.

        p -= rate(t - 1) sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon),   t = 1, 2, ...

    Args:
        rate: learning rate by step, from 0.
        b1: decay of the first moment.
        b2: decay of the second moment.
        epsilon: added to the root of the uncorrected second moment.

    Returns:
        The transformation.
    """

    def init(params: optax.Params) -> KerasAdamState:
        # Two trees of zeros: a buffer shared by both could not be donated.
        first, second = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return KerasAdamState(jnp.zeros([], jnp.int32), first, second)

    def update(gradients, state: KerasAdamState, params=None):
        del params
        first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.first, gradients)
        second = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.second, gradients)
        t = (state.count + 1).astype(jnp.float32)
        step_size = rate(state.count) * jnp.sqrt(1 - b2**t) / (1 - b1**t)
        updates = jax.tree.map(lambda m, v: -step_size * m / (jnp.sqrt(v) + epsilon), first, second)
        return updates, KerasAdamState(state.count + 1, first, second)

    return optax.GradientTransformation(init, update)


class KerasSgdState(NamedTuple):
    """count: [] int32, updates so far; velocity: a tree like the parameters."""

    count: Array
    velocity: optax.Updates


def keras_sgd(
    rate: Schedule, *, momentum: float, nesterov: bool = False
) -> optax.GradientTransformation:
    """Builds SGD with the learning rate inside the velocity, as in Keras.

        v <- momentum v - rate(t - 1) g,   p += v  (nesterov: p += momentum v - rate(t - 1) g)

    Args:
        rate: learning rate by step, from 0.
        momentum: share of the velocity that is kept.
        nesterov: whether to use Nesterov momentum.

    Returns:
        The transformation; the original clips before it:
        `optax.chain(optax.clip_by_global_norm(...), keras_sgd(...))`.
    """

    def init(params: optax.Params) -> KerasSgdState:
        return KerasSgdState(jnp.zeros([], jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(gradients, state: KerasSgdState, params=None):
        del params
        step_size = rate(state.count)

        def moved(v: Array, g: Array) -> Array:
            return momentum * v - step_size * g

        velocity = jax.tree.map(moved, state.velocity, gradients)
        updates = jax.tree.map(moved, velocity, gradients) if nesterov else velocity
        return updates, KerasSgdState(state.count + 1, velocity)

    return optax.GradientTransformation(init, update)
