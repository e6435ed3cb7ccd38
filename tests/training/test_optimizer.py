"""Learning rates and optimizers: cases without golden numbers in tests/golden."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vatt_gh.config import default
from vatt_gh.training.optimizer import keras_adam, keras_sgd, stepped_cosine

ADAM = functools.partial(keras_adam, **default().train.adam)
SGD = functools.partial(keras_sgd, momentum=0.9)


@pytest.mark.parametrize(
    ("levels", "starts", "total"),
    [((1.0,), (2, 6), 10), ((1.0, 0.5), (6, 2), 10), ((1.0, 0.5), (2, 6), 5)],
)
def test_schedules_that_cannot_be_are_refused(levels, starts, total):
    with pytest.raises(ValueError, match="do not fit"):
        stepped_cosine(levels, starts, total)


def test_training_ends_at_the_second_rate_and_stays_there():
    """As in training: the second rate is reached at the last step."""
    rate = stepped_cosine((1e-3, 1e-4), (4, 20), 20)
    values = np.asarray(jax.vmap(rate)(jnp.arange(30)))
    np.testing.assert_allclose(values[:5], np.arange(5) / 4 * 1e-3, rtol=1e-6)
    assert np.all(np.diff(values[4:21]) < 0)
    np.testing.assert_allclose(values[12], (1e-3 + 1e-4) / 2, rtol=1e-5)  # half-way
    np.testing.assert_allclose(values[20:], 1e-4, rtol=1e-6)


def test_no_warmup_starts_at_the_peak_and_zero_stays_zero():
    rate = stepped_cosine([0.5], [0], 10)
    assert float(rate(0)) == 0.5
    assert float(rate(10)) == float(rate(25)) == 0.0


def test_first_update_takes_the_rate_of_step_0():
    seen = ADAM(stepped_cosine((1.0, 1.0), (2, 9), 9))
    params = {"w": jnp.array([1.0, -2.0])}
    state = seen.init(params)
    moves = []
    for _ in range(3):
        updates, state = seen.update({"w": jnp.array([3.0, -3.0])}, state)
        moves.append(np.asarray(updates["w"]))
    # With a constant gradient, Adam moves by the rate itself, against the sign.
    np.testing.assert_allclose(moves, [[0.0, 0.0], [-0.5, 0.5], [-1.0, 1.0]], atol=1e-5)
    assert int(state.count) == 3


@pytest.mark.parametrize("make", [ADAM, SGD])
def test_parameters_without_a_gradient_stay(make):
    optimizer = make(lambda step: jnp.float32(1.0))
    params = {"w": jnp.arange(4.0)}
    updates, _ = jax.jit(optimizer.update)({"w": jnp.zeros(4)}, optimizer.init(params))
    np.testing.assert_array_equal(optax.apply_updates(params, updates)["w"], params["w"])


@pytest.mark.parametrize("make", [ADAM, SGD])
def test_state_can_be_donated(make):
    """No buffer occurs twice in the state, nor in the parameters."""
    optimizer = make(lambda step: jnp.float32(1.0))
    params = {"w": jnp.ones(4), "v": jnp.ones((2, 2))}
    state = optimizer.init(params)
    arrays = [x for x in jax.tree.leaves((params, state)) if x.ndim]
    pointers = [x.unsafe_buffer_pointer() for x in arrays]
    assert len(set(pointers)) == len(pointers)
    step = jax.jit(
        lambda p, s: (lambda u, n: (optax.apply_updates(p, u), n))(*optimizer.update(p, s, p)),
        donate_argnums=(0, 1),
    )
    params, state = step(params, state)
    params, state = step(params, state)
    assert int(state.count) == 2
