"""The main entry point: any encoder, any losses, both attributions, one device and several."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, PartitionSpec

from vatt_gh.harmonize import Method, harmonized_gradients

README = Path(__file__).parents[2] / "README.md"
BATCH = 8
OFF = Method(realign=False, curriculum=False)
ENCODER = nn.Sequential([nn.Dense(12), nn.gelu, nn.LayerNorm(), nn.Dense(5)])


def data():
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (BATCH, 7))
    others = jax.random.normal(keys[1], (3, BATCH, 5))
    params = ENCODER.init(keys[2], x[0])["params"]
    return x, others, params


def contrastive(features, others, axis_name=None):
    """Losses that compare all samples' features with a sample's vector, and scale by a batch mean:
    each value depends on all samples."""
    everyone = (
        features if axis_name is None else jax.lax.all_gather(features, axis_name, tiled=True)
    )
    scale = jnp.sqrt(jnp.mean(everyone**2))
    own = jnp.einsum("bd,lbd->lb", features, others) / scale
    scores = jnp.einsum("jd,lbd->lbj", everyone, others) / scale
    return list(jax.nn.logsumexp(scores, axis=-1) - own)


def run(method=OFF, **options):
    x, others, params = data()
    return harmonized_gradients(
        ENCODER, params, x, lambda h: contrastive(h, others), method=method, **options
    )


def assert_close(actual, expected, tolerance=3e-5):  # float32 sums in a different order
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
def test_with_nothing_to_do_it_is_the_ordinary_gradient(engine):
    x, others, params = data()

    def total(p):
        features = jax.vmap(lambda s: ENCODER.apply({"params": p}, s))(x)
        return sum(jnp.sum(loss) for loss in contrastive(features, others))

    found = run(engine=engine)
    assert_close(found.gradients, jax.grad(total)(params))
    assert float(jnp.sum(found.losses)) == pytest.approx(float(total(params)), rel=1e-5)


@pytest.mark.parametrize("attribution", ["embedding", "anchor"])
def test_three_losses_by_the_definition(attribution):
    """Each sample's gradients, one at a time, and PCGrad's projections written out."""
    x, others, params = data()
    features, per_sample = jax.vmap(lambda s: ENCODER.apply({"params": params}, s))(x), []
    for i in range(BATCH):

        def value(h, loss, i=i):
            moved = features.at[i].set(h)
            values = contrastive(moved, others)[loss]
            return jnp.sum(values) if attribution == "embedding" else values[i]

        _, pull = jax.vjp(lambda p, i=i: ENCODER.apply({"params": p}, x[i]), params)
        cotangents = [jax.grad(value)(features[i], loss) for loss in range(3)]
        per_sample.append([ravel_pytree(pull(c)[0])[0] for c in cotangents])
    expected = 0.0
    for own in per_sample:
        for g in own:
            moved = g
            for other in own:
                moved = moved - min(0.0, float(g @ other)) / (other @ other) * other
            expected += moved
    for engine in ("ghost", "vmap"):
        found = run(Method(realign=True, curriculum=False), attribution=attribution, engine=engine)
        assert_close(ravel_pytree(found.gradients)[0], expected)
        assert float(found.coefficients.cosine.min()) < -0.1, "the case must have conflicts"


@pytest.mark.parametrize("attribution", ["embedding", "anchor"])
@pytest.mark.parametrize("engine", ["ghost", "vmap"])
def test_devices_of_a_shard_map_give_the_same(engine, attribution):
    x, others, params = data()
    method = Method(realign=True, curriculum=True, soft_temperature=0.2)
    options = {"method": method, "engine": engine, "attribution": attribution}
    expected = run(**options)
    mesh = jax.make_mesh((4,), ("devices",), axis_types=(AxisType.Auto,))
    batch, same = PartitionSpec("devices"), PartitionSpec()

    def share(p, x, others):
        found = harmonized_gradients(
            ENCODER,
            p,
            x,
            lambda h: contrastive(h, others, "devices"),
            axis_name="devices",
            microbatch=1,
            **options,
        )
        return found.gradients, found.coefficients.cosine

    specs = (same, batch, PartitionSpec(None, "devices"))
    sharded = jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=(same, batch))
    gradients, cosine = jax.jit(sharded)(params, x, others)
    assert_close(gradients, expected.gradients)
    assert_close(cosine, expected.coefficients.cosine)


def test_a_function_that_is_no_module():
    x, others, _ = data()
    params = {"w": jax.random.normal(jax.random.key(3), (7, 5))}
    options = {"method": Method(realign=True, curriculum=False)}
    found = [
        harmonized_gradients(
            lambda p, s: jnp.tanh(s @ p["w"]),
            params,
            x,
            lambda h: contrastive(h, others),
            engine=engine,
            **options,
        ).gradients
        for engine in ("vmap", "ghost")
    ]
    assert_close(*found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "fast"}, "expected one of 'ghost', 'vmap', or an engine"),
        ({"attribution": "all"}, "expected one of embedding, anchor"),
    ],
)
def test_unknown_choices_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)


def test_losses_that_do_not_fit_are_refused():
    x, _, params = data()
    with pytest.raises(ValueError, match="no conflict without a second one"):
        harmonized_gradients(ENCODER, params, x, lambda h: [jnp.sum(h)])
    with pytest.raises(ValueError, match="one value a sample"):
        harmonized_gradients(
            ENCODER, params, x, lambda h: [jnp.sum(h), jnp.sum(h**2)], attribution="anchor"
        )


def test_the_example_of_the_readme_learns_and_drops(capsys):
    *_, code, check = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    variables = {}
    exec(compile(code, "README.md", "exec"), variables)
    exec(compile(check, "README.md", "exec"), variables)
    [largest] = re.findall(r"largest difference of a gradient: (\S+)", capsys.readouterr().out)
    assert float(largest) < 1e-5
    found = variables["found"]
    assert np.isfinite(found.losses).all()
    assert float(found.losses[1]) < 0.5 * float(jnp.sum(variables["number"] ** 2))
    assert 0.3 < float(found.coefficients.weight.mean()) < 1.0
