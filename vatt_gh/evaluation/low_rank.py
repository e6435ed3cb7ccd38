"""The original's classifier of frozen features: a narrow linear layer, dropout, a linear layer."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vatt_gh.training.optimizer import keras_adam

Array = jax.Array
RANK, DROPOUT, PENALTY, LEARNING_RATE, BATCH, EPOCHS, SEED = 128, 0.9, 0.1, 5e-4, 64, 1_000, 1
_ADAM = {"b1": 0.9, "b2": 0.999, "epsilon": 1e-7}  # of this classifier, whatever trained the model


class LowRank(nn.Module):
    """[..., d] float32 -> [..., classes] float32 logits."""

    classes: int

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        dense = functools.partial(nn.Dense, kernel_init=nn.initializers.glorot_normal())
        hidden = nn.Dropout(DROPOUT, deterministic=not train)(dense(RANK, name="narrow")(x))
        return dense(self.classes, name="classifier")(hidden)


def answers(features: np.ndarray, labels: np.ndarray, tests: np.ndarray) -> np.ndarray:
    """Fits the classifier and classifies other clips.

    The loss is cross-entropy plus PENALTY times the sum of squares of the last kernel, Adam's rate
    5e-4, a batch 64; as in the released code (`EvalExecutor`).

    Args:
        features: [N, d] float, features of the clips that it is fitted on.
        labels: [N] class of each, any type.
        tests: [M, d] float, features of the other clips.

    Returns:
        [M] class of each of the other clips.
    """
    names, classes = np.unique(labels, return_inverse=True)
    model = LowRank(len(names))
    params = _fit(model, jnp.asarray(features, jnp.float32), jnp.asarray(classes), EPOCHS)
    logits = model.apply({"params": params}, jnp.asarray(tests, jnp.float32), False)
    return names[np.asarray(logits).argmax(axis=1)]


@functools.partial(jax.jit, static_argnums=(0, 3))
def _fit(model: LowRank, features: Array, labels: Array, epochs: int) -> Any:
    key = jax.random.key(SEED)
    params = model.init(jax.random.fold_in(key, 0), features[0], False)["params"]
    optimizer = keras_adam(lambda step: jnp.float32(LEARNING_RATE), **_ADAM)
    count = len(features)
    batches = -(-count // BATCH)

    def step(carry: tuple[Any, Any], given: tuple[Array, Array]) -> tuple[tuple[Any, Any], None]:
        (params, state), (rows, key) = carry, given
        there = rows < count  # the last batch of an epoch may be smaller
        x, y = features[rows % count], labels[rows % count]
        gradients = jax.grad(_loss)(params, model, x, y, there, key)
        updates, state = optimizer.update(gradients, state)
        return (jax.tree.map(jnp.add, params, updates), state), None

    def epoch(carry: tuple[Any, Any], number: Array) -> tuple[tuple[Any, Any], None]:
        drawn = jax.random.fold_in(jax.random.fold_in(key, 1), number)
        order = jax.random.permutation(drawn, count)
        rows = jnp.concatenate([order, jnp.full(batches * BATCH - count, count)])
        keys = jax.random.split(drawn, batches)
        return jax.lax.scan(step, carry, (rows.reshape(batches, BATCH), keys))

    carry = (params, optimizer.init(params))
    (params, _), _ = jax.lax.scan(epoch, carry, jnp.arange(epochs))
    return params


def _loss(params: Any, model: LowRank, x: Array, y: Array, there: Array, key: Array) -> Array:
    logits = model.apply({"params": params}, x, True, rngs={"dropout": key})
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)[:, 0]
    mean = -jnp.sum(chosen * there) / jnp.sum(there)
    return mean + PENALTY * jnp.sum(params["classifier"]["kernel"] ** 2)
