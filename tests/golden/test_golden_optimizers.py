"""Learning rates and parameter updates: the same numbers as Keras."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from golden.golden_set import close, golden

from vatt_gh.training.optimizer import keras_adam, keras_sgd, stepped_cosine


def schedule(config):
    if "init_learning_rate" not in config:
        return stepped_cosine(
            config["learning_rate_levels"],
            config["learning_rate_steps"],
            config["total_steps"],
            warmup_from=config["warmup_learning_rate"],
        )
    return stepped_cosine(
        [config["init_learning_rate"]],
        [config["warmup_steps"]],
        config["total_steps"],
        warmup_from=config["warmup_learning_rate"],
    )


def test_golden_schedules():
    file = golden("schedules")
    for name, config in file.config.items():
        rates = jax.vmap(schedule(config))(jnp.asarray(file[f"{name}|steps"]))
        # Near the end cos + 1 cancels: the golden float32 rates themselves are off by one rounding
        # of the largest rate, which is more than 1e-5 of a rate close to zero.
        rounding = 1e-7 * float(np.nanmax(file[f"{name}|lr"]))
        np.testing.assert_allclose(rates, file[f"{name}|lr"], rtol=1e-5, atol=rounding)


@pytest.mark.parametrize("name", ["adam", "sgd_momentum", "sgd_momentum_clip", "sgd_nesterov"])
def test_golden_optimizers(name):
    file = golden("optimizers")
    config = file.config
    if name == "adam":
        betas = {"b1": config["adam"]["beta_1"], "b2": config["adam"]["beta_2"]}
        rate = schedule(config["adam_schedule"])
        optimizer = keras_adam(rate, epsilon=config["adam"]["epsilon"], **betas)
    else:
        rate = schedule(config["sgd_schedule"])
        momentum = config["momentum"]
        optimizer = keras_sgd(rate, momentum=momentum, nesterov=name == "sgd_nesterov")
    if name.endswith("clip"):
        optimizer = optax.chain(optax.clip_by_global_norm(config["clip"]), optimizer)

    def step(carry, gradients):
        params, state = carry
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    params = {k: jnp.asarray(v) for k, v in file.part("in|init").items()}
    gradients = file.part("in|grads")
    _, after = jax.lax.scan(step, (params, optimizer.init(params)), gradients)
    for key, expected in file.part(f"out|{name}").items():
        close(after[key], expected, 1e-6, key)
