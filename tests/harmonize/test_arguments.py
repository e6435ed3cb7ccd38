"""Arguments in every form that users pass: understood, or rejected with a message."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx, struct
from flax.core import freeze

from vatt_gh.harmonize import Ghost, Method, Vmap, harmonized_gradients, known
from vatt_gh.harmonize.groups import InGroups

BATCH = 4
X = jax.random.normal(jax.random.key(0), (BATCH, 7))
TARGETS = jax.random.normal(jax.random.key(1), (2, BATCH, 3))
KERNEL = 0.4 * jax.random.normal(jax.random.key(2), (7, 3))
BIAS = jnp.array([0.1, -0.2, 0.3])
DENSE = {"kernel": KERNEL, "bias": BIAS}
SOFT = Method(realign=True, curriculum=True, soft_temperature=0.3)


def squares(features):
    return [jnp.sum((features - t) ** 2, axis=1) for t in TARGETS]


def run(encoder, params, inputs=X, losses=squares, **options):
    options = {"method": SOFT} | options
    return harmonized_gradients(encoder, params, inputs, losses, **options)


@pytest.fixture(autouse=True)
def nothing_noted_before(monkeypatch):
    monkeypatch.setattr(known, "_noted", set())


def flat(found):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(found.gradients)])


def nnx_state():
    linear = nnx.Linear(7, 3, rngs=nnx.Rngs(0))
    linear.kernel.set_value(KERNEL)
    linear.bias.set_value(BIAS)
    graph, params = nnx.split(linear, nnx.Param)
    return lambda p, x: nnx.merge(graph, p)(x), params


def boxed():
    module = nn.Dense(3, kernel_init=nn.with_partitioning(nn.initializers.ones, (None, "model")))
    params = module.init(jax.random.key(0), X[0])["params"]
    kernel = params["kernel"].replace_boxed(KERNEL)
    return module, {"kernel": kernel, "bias": BIAS}


# In the order of jax's leaves: the bias first, except in a list or tuple.
FORMS = {
    "FrozenDict": lambda: (nn.Dense(3), freeze({"kernel": KERNEL, "bias": BIAS})),
    "tuple": lambda: (lambda p, x: x @ p[1] + p[0], (BIAS, KERNEL)),
    "nested lists": lambda: (lambda p, x: x @ p[1][0] + p[0], [BIAS, [KERNEL]]),
    "None and empty dicts": lambda: (
        lambda p, x: x @ p["w"] + p["b"],
        {"a": None, "b": BIAS, "e": {}, "w": KERNEL},
    ),
    "boxed": boxed,
    "nnx.State": nnx_state,
    "numpy": lambda: (nn.Dense(3), {"kernel": np.array(KERNEL), "bias": np.array(BIAS)}),
    "submodule": lambda: (
        lambda p, x: nn.Dense(3).apply({"params": p["backbone"]}, x),
        {"backbone": {"kernel": KERNEL, "bias": BIAS}},
    ),
}


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
@pytest.mark.parametrize("form", FORMS)
def test_parameters_come_back_as_what_they_were(form, engine, caplog):
    encoder, params = FORMS[form]()
    found = run(encoder, params, engine=engine, microbatch=2)
    assert jax.tree.structure(found.gradients) == jax.tree.structure(params)
    expected = run(nn.Dense(3), DENSE, engine="vmap")
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-5, atol=1e-5)
    optimizer = optax.adam(1e-2)
    updates, _ = optimizer.update(found.gradients, optimizer.init(params))
    moved = optax.apply_updates(params, updates)
    assert jax.tree.structure(moved) == jax.tree.structure(params)
    assert not caplog.records, "nothing here is formed sample by sample that is worth a note"


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
def test_a_bare_array(engine):
    found = run(lambda p, x: jnp.tanh(x @ p), KERNEL, engine=engine)
    assert found.gradients.shape == KERNEL.shape


@pytest.mark.parametrize("form", ["FrozenDict", "boxed", "nnx.State"])
def test_shared_is_asked_by_plain_names(form):
    encoder, params = FORMS[form]()
    asked = []
    run(encoder, params, shared=lambda path: asked.append(path) or True)
    assert set(asked) == {("kernel",), ("bias",)}


@pytest.mark.parametrize("part", ["kernel", "bias"])
def test_shared_may_split_a_layer(part):
    def encode(p, x):
        return jnp.tanh(nn.Dense(3).apply({"params": p}, jnp.stack([x, x**2]))).mean(axis=0)

    only = {"shared": lambda path: path == (part,)}
    ghost, vmap = (run(encode, DENSE, engine=e, **only) for e in ("ghost", "vmap"))
    np.testing.assert_allclose(flat(ghost), flat(vmap), rtol=1e-5, atol=1e-5)
    whole = run(encode, DENSE, engine="vmap")
    np.testing.assert_allclose(ghost.coefficients.cosine, vmap.coefficients.cosine, atol=1e-5)
    assert np.abs(vmap.coefficients.cosine - whole.coefficients.cosine).max() > 1e-3


def test_losses_in_every_form():
    expected = run(nn.Dense(3), DENSE)
    forms = [
        lambda h: {"z": squares(h)[0], "a": squares(h)[1]},
        lambda h: tuple(squares(h)),
        lambda h: jnp.stack(squares(h)),
        lambda h: jnp.stack([value.sum() for value in squares(h)]),
    ]
    for losses in forms:
        found = run(nn.Dense(3), DENSE, losses=losses)
        np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-6)


def test_complete_as_a_list():
    found = run(nn.Dense(3), DENSE, complete=[True, False, 1, 0], cutoff=2.0)
    np.testing.assert_array_equal(found.coefficients.defined, [True, False, True, False])


class Drops(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.Dropout(0.5, deterministic=False)(x))


class Normalises(nn.Module):
    train: bool = False

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.BatchNorm(use_running_average=not self.train, axis_name=None)(x))


NORMALISED = {"Dense_0": DENSE, "BatchNorm_0": {"scale": jnp.ones(7), "bias": jnp.zeros(7)}}
REFUSED = {
    "whole variables": (nn.Dense(3), {"params": DENSE}, {}, r"expected variables\['params'\]"),
    "with batch_stats": (
        Normalises(),
        {"params": NORMALISED, "batch_stats": {}},
        {},
        r"with batch_stats, give it as a function: lambda params, x: module.apply",
    ),
    "random streams": (Drops(), {"Dense_0": DENSE}, {}, r"needs PRNG.*rngs=\{'dropout': sample"),
    "batch_stats": (
        Normalises(),
        NORMALISED,
        {},
        r"Normalises needs more.*'batch_stats': batch_st",
    ),
    "batch norm that trains": (Normalises(True), NORMALISED, {}, r"give it as a function"),
    "nnx module": (nnx.Linear(7, 3, rngs=nnx.Rngs(0)), DENSE, {}, r"nnx.split\(module, nnx.Param"),
    "no function": ("dense", DENSE, {}, "encoder is 'dense'"),
    "complex": (
        lambda p, x: jnp.abs(x @ p["w"]),
        {"w": KERNEL.astype(jnp.complex64)},
        {},
        "w is complex64: expected real",
    ),
    "integers": (
        lambda p, x: x @ p["w"],
        {"w": KERNEL, "step": jnp.int32(3)},
        {},
        "step is int32: expected real floating-point",
    ),
    "no parameters": (lambda p, x: x[:3], {}, {}, "params holds no array"),
    "shared": (
        nn.Dense(3),
        DENSE,
        {"shared": lambda path: path[0] == "encoder"},
        r"shared picks none of 2 parameters.*\(bias, kernel, ...\)",
    ),
    "microbatch": (
        nn.Dense(3),
        DENSE,
        {"microbatch": 3},
        "microbatch=3 does not divide 4 samples: expected 0 or one of 1, 2, 4",
    ),
    "sketch": (
        nn.Dense(3),
        DENSE,
        {"engine": Ghost(sketch=8)},
        r"sketch=8 draws signs: expected a key, such as jax.random.key\(step\)",
    ),
    "groups as an engine": (
        nn.Dense(3),
        DENSE,
        {"engine": InGroups(Vmap(), 2)},
        "give its engine, and group= beside it",
    ),
    "group": (nn.Dense(3), DENSE, {"group": 0}, "group is 0: expected a whole number, 1 or larger"),
    "group and microbatch": (
        nn.Dense(3),
        DENSE,
        {"group": 4, "microbatch": 2},
        "group=4 does not divide microbatch=2",
    ),
    "engine's class": (nn.Dense(3), DENSE, {"engine": Ghost}, r"such as Ghost\(sketch=64\)"),
    "inputs": (nn.Dense(3), DENSE, {"inputs": (X, X[:2])}, r"inputs have shapes .*\(4, 7\)"),
    "scalar input": (
        nn.Dense(3),
        DENSE,
        {"inputs": (X, 1.0)},
        r"expected \[B, ...\] with the same",
    ),
    "complete": (nn.Dense(3), DENSE, {"complete": [True]}, r"complete is bool\[1\]"),
    "class": (nn.Dense, DENSE, {}, "encoder is .*Dense.*: expected a Flax module or a function"),
    "no array": (nn.Dense(3), {"kernel": jnp.tanh}, {}, "kernel is a .*: expected real floating"),
    "method": (nn.Dense(3), DENSE, {"method": "both"}, "method is 'both': expected Method"),
    "cutoff": (nn.Dense(3), DENSE, {"cutoff": "0.1"}, "cutoff is '0.1': expected one number"),
    "cutoffs": (nn.Dense(3), DENSE, {"cutoff": jnp.zeros(4)}, "cutoff is .*: expected one number"),
    "microbatch as text": (
        nn.Dense(3),
        DENSE,
        {"microbatch": "2"},
        "microbatch is .2.: expect",
    ),
    "microbatch as a share": (nn.Dense(3), DENSE, {"microbatch": 2.0}, "microbatch is 2.0: expect"),
    "shared as a list": (nn.Dense(3), DENSE, {"shared": ["kernel"]}, "shared is .*lambda path"),
    "complete as text": (nn.Dense(3), DENSE, {"complete": "all"}, "complete is float32"),
    "complete as shares": (
        nn.Dense(3),
        DENSE,
        {"complete": jnp.ones(4)},
        r"complete is float32.4",
    ),
    "no losses": (nn.Dense(3), DENSE, {"losses": None}, "losses is None: expected a function"),
    "losses in a set": (
        nn.Dense(3),
        DENSE,
        {"losses": lambda h: {1.0, 2.0}},
        "losses returns .1",
    ),
    "losses with more": (
        nn.Dense(3),
        DENSE,
        {"losses": lambda h: (h.sum(), {"accuracy": h.mean()})},
        "something other than a floating-point array at place 1",
    ),
    "losses of features": (
        nn.Dense(3),
        DENSE,
        {"losses": lambda h: (h.sum(axis=0), h.mean(axis=0))},
        r"at place 0 an array \[3\] for 4 samples",
    ),
    "features": (
        lambda p, x: {"h": x @ p["w"], "valid": x[0] > 0},
        {"w": KERNEL},
        {"losses": lambda h: squares(h["h"])},
        r"returns bool features \(valid\)",
    ),
    "no features": (lambda p, x: None, {"w": KERNEL}, {}, "the encoder returns no array"),
    "no samples": (nn.Dense(3), DENSE, {"inputs": X[:0]}, r"inputs have shapes \(0, 7\)"),
    "one array": (
        nn.Dense(3),
        DENSE,
        {"losses": lambda h: squares(h)[0]},
        r"one array \[4\] for 4 samples",
    ),
    "turned array": (
        nn.Dense(3),
        DENSE,
        {"losses": lambda h: jnp.stack(squares(h), axis=1)},
        r"an array \[4, 2\] for 4 samples: expected \[losses, samples\]",
    ),
    "one loss in a dict": (
        nn.Dense(3),
        DENSE,
        {"losses": lambda h: {"only": squares(h)[0]}},
        "1 loss: there is no conflict",
    ),
}


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused(case, engine):
    encoder, params, options, message = REFUSED[case]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        run(encoder, params, **({"engine": engine} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sketch": -1}, "sketch=-1: expected a whole number, 0 or more"),
        ({"sketch": 2.0}, "sketch=2.0: expected a whole number"),
        ({"sketch_check": True}, "there is nothing to check"),
    ],
)
def test_a_sketch_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Ghost(**options)


def test_a_negative_temperature_is_refused():
    with pytest.raises(ValueError, match="soft_temperature=-1: expected 0 or more"):
        Method(realign=True, curriculum=True, soft_temperature=-1)


@struct.dataclass
class Attention:
    query: jax.Array
    value: jax.Array


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
def test_a_field_that_is_called_value_keeps_its_name(engine):
    asked = []
    params = Attention(KERNEL, 0.5 * KERNEL)
    encode = lambda p, x: jnp.tanh(x @ p.query) * (x @ p.value)  # noqa: E731
    run(encode, params, engine=engine, shared=lambda path: asked.append(path) or True)
    assert set(asked) == {("query",), ("value",)}


def test_numbers_of_python_are_parameters_and_inputs_may_be_empty():
    encode = lambda p, sample: sample["x"] @ p["w"] * p["scale"]  # noqa: E731
    inputs = {"x": X, "extra": jnp.zeros((BATCH, 0))}
    given = (encode, {"w": KERNEL, "scale": 2.0}, inputs)
    ghost, vmap = (run(*given, engine=engine, microbatch=2) for engine in ("ghost", "vmap"))
    np.testing.assert_allclose(flat(ghost), flat(vmap), rtol=1e-5, atol=1e-5)
    assert ghost.gradients["scale"].shape == ()


def test_a_module_that_is_given_as_a_function_as_the_message_says():
    keys = jax.random.split(jax.random.key(3), BATCH)
    module, params = Drops(), {"Dense_0": DENSE}
    encode = lambda p, sample: module.apply(  # noqa: E731
        {"params": p}, sample[0], rngs={"dropout": sample[1]}
    )
    ghost, vmap = (run(encode, params, (X, keys), engine=e) for e in ("ghost", "vmap"))
    np.testing.assert_allclose(flat(ghost), flat(vmap), rtol=1e-5, atol=1e-5)
