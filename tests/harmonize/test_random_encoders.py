"""Encoders drawn from a grammar of layers, sharing, loops, constants, ties and twins."""

import os

import jax
import jax.numpy as jnp
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from inputs import FEATURES, TOKENS, WIDTH, frames
from test_any_encoder import assert_exact

ROWS = 40
KERNELS = ("w0", "w1", "w2")  # few, so that many are used twice


def parameters():
    shapes = {name: (WIDTH, WIDTH) for name in KERNELS}
    shapes |= {"bias": (WIDTH,), "table": (ROWS, WIDTH), "stack": (2, WIDTH, WIDTH)}
    shapes |= {"hyper": (3, WIDTH * WIDTH), "head": (WIDTH, FEATURES)}
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return {
        name: 0.5 * jax.random.normal(key, shape)
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


# Ways to make a kernel [WIDTH, WIDTH] from the parameters.
SOURCES = {
    "itself": lambda p, name: p[name],
    "turned": lambda p, name: p[name].T,
    "turned twice": lambda p, name: p[name].reshape(-1, 2, WIDTH).reshape(WIDTH, WIDTH).T.T,
    "scaled": lambda p, name: 0.7 * p[name],
    "frozen": lambda p, name: jax.lax.stop_gradient(p[name]),
    "normal": lambda p, name: p[name] / (1 + jnp.linalg.norm(p[name], axis=0)),
    "sliced": lambda p, name: p["stack"][KERNELS.index(name) % 2],
    "generated": lambda p, name: (jnp.ones(3) @ p["hyper"]).reshape(WIDTH, WIDTH),
    "of rows": lambda p, name: p["table"][:WIDTH],
}
# Ways to apply f(x, w) to frames x [T, WIDTH] with a kernel w.
WAYS = {
    "at once": lambda f, x, w: f(x, w),
    "vmap": lambda f, x, w: jax.vmap(lambda frame: f(frame, w))(x),
    "map": lambda f, x, w: jax.lax.map(lambda frame: f(frame, w), x),
    "scan": lambda f, x, w: jax.lax.scan(
        lambda c, frame: (f(0.5 * c + frame, w), c), jnp.ones(WIDTH), x
    )[1],
    "loop": lambda f, x, w: jax.lax.fori_loop(0, 2, lambda _, y: f(y, w), x),
    "carried": lambda f, x, w: jax.lax.scan(
        lambda v, frame: (0.9 * v, f(frame, v)), w, x, unroll=2
    )[1],
    "checkpoint": lambda f, x, w: jax.checkpoint(f)(x, w),
    "jit": lambda f, x, w: jax.jit(f)(jax.jit(f)(x, w), w),
    "branch": lambda f, x, w: jax.lax.cond(x[0, 0] > 0, f, lambda x, w: f(-x, w), x, w),
    "twin": lambda f, x, w: f(x, jax.lax.stop_gradient(w)) * f(x, w),
    "gradient": lambda f, x, w: jax.grad(lambda y: (f(y, w) ** 2).sum())(x),
    "tangent": lambda f, x, w: jax.jvp(lambda y: f(y, w), (x,), (jnp.cos(x),))[1],
    "loop of checkpoints": lambda f, x, w: jax.lax.map(
        jax.checkpoint(lambda frame: f(frame, w)), x
    ),
}
# Other operations of a layer, from (p, x) to [T, WIDTH].
OTHERS = {
    "bias": lambda p, x: x + p["bias"],
    "positions": lambda p, x: x + p["table"][jnp.arange(TOKENS)],
    "lookup": lambda p, x: x * p["table"][jnp.argmax(x, axis=-1) * 3],
    "scores": lambda p, x: jax.nn.softmax(x @ p["table"].T)[:, :WIDTH],
    "mixture": lambda p, x: jnp.tanh(x.T @ (x @ p["w0"])).T[:1] + x,
    "norm": lambda p, x: jax.nn.standardize(x) * p["bias"],
}


def layers():
    product = st.tuples(
        st.sampled_from(sorted(SOURCES)), st.sampled_from(KERNELS), st.sampled_from(sorted(WAYS))
    )
    return st.lists(
        st.one_of(product, product, st.sampled_from(sorted(OTHERS))), min_size=2, max_size=5
    )


def encoder(drawn):
    def encode(p, x):
        for layer in drawn:
            if isinstance(layer, str):
                x = OTHERS[layer](p, x)
            else:
                source, name, way = layer
                kernel = SOURCES[source](p, name)
                x = x + WAYS[way](lambda y, w: jnp.tanh(y @ w), x, kernel)
            x = jnp.tanh(x)
        return (x @ p["head"]).mean(axis=0)

    return encode


# Two seconds each, mostly compilation. A change of the engine deserves hundreds.
EXAMPLES = int(os.environ.get("VATT_GH_EXAMPLES", 8))


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate]
)
@given(drawn=layers())
def test_whatever_is_drawn(drawn):
    assert_exact(encoder(drawn), parameters(), frames())
