"""Encoders that are plain functions, or of another library than flax.linen."""

import jax
import jax.numpy as jnp
from flax import nnx
from inputs import FEATURES, WIDTH, frames


def plain(function, **shapes):
    def make():
        keys = jax.random.split(jax.random.key(9), len(shapes))
        params = {
            name: jax.random.normal(key, shape)
            for key, (name, shape) in zip(keys, shapes.items(), strict=True)
        }
        return function, params, frames()

    return make


@jax.custom_jvp
def scaled_product(x, w):
    return x @ w


scaled_product.defjvp(
    lambda given, moved: (
        given[0] @ given[1],
        moved[0] @ given[1] + given[0] @ moved[1],
    )
)


@jax.custom_vjp
def tripled_product(x, w):
    return x @ w


tripled_product.defvjp(
    lambda x, w: (x @ w, (x, w)),
    lambda kept, d: (d @ kept[1].T, 3 * kept[0].T @ d),  # no true derivative, but linear
)


def branches(p, x):
    chosen = jax.lax.cond(x.sum() > 0, lambda w: x @ w, lambda w: x @ (w * w), p["w"])
    return jnp.tanh(chosen).mean(axis=0)


def stacked_layers(p, x):
    for w in p["w"]:
        x = jnp.tanh(x @ w)
    return x.mean(axis=0)[:FEATURES]


def carried(p, x):
    w, y = jax.lax.fori_loop(0, 3, lambda _, c: (0.9 * c[0], jnp.tanh(c[1] @ c[0])), (p["w"], x))
    return (y @ w).mean(axis=0)[:FEATURES]


def both_sides(p, x):
    y = jnp.einsum("od,td->ot", p["left"], x)  # the kernel on the left
    y = jnp.einsum("ot,dp,oe->tdep", y, p["right"], jnp.eye(4))
    return jnp.tanh(y).mean(axis=(0, 1, 2))[:FEATURES]


def heads_of_their_own(p, x):
    y = jax.vmap(lambda w, part: part @ w, in_axes=(0, 1), out_axes=1)(p["w"], x.reshape(5, 2, 3))
    return jnp.tanh(y).mean(axis=(0, 1))


def of_nnx():
    class Encoder(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(WIDTH, 9, rngs=rngs)
            self.norm = nnx.LayerNorm(9, rngs=rngs)
            self.last = nnx.Linear(9, FEATURES, rngs=rngs)

        def __call__(self, x):
            return self.last(nnx.gelu(self.norm(self.first(x)))).mean(axis=0)

    graph, params = nnx.split(Encoder(nnx.Rngs(0)), nnx.Param)
    return lambda p, x: nnx.merge(graph, p)(x), params, frames()


def of_two_dtypes(p, x):
    narrow = (x.astype(jnp.bfloat16) * 0.0).astype(jnp.bfloat16) @ p["w"].astype(jnp.bfloat16)
    return jnp.tanh(x @ p["w"] + narrow.astype(jnp.float32)).mean(axis=0)


def rule_with_a_closure(p, x):
    mask = jnp.cos(x)
    masked = jax.custom_jvp(lambda y: y * mask)
    masked.defjvp(lambda given, moved: (given[0] * mask, moved[0] * mask))
    return jnp.tanh(masked(jnp.tanh(x @ p["v"])) @ p["w"]).mean(axis=0)


def loops_in_checkpoints(p, x):
    @jax.checkpoint
    def outer(carry, frame):
        inner = jax.checkpoint(lambda c, _: (jnp.tanh(c @ p["w"] + frame), c @ p["v"]))
        carry, seen = jax.lax.scan(inner, carry, None, length=2, unroll=2)
        return carry, seen.sum(axis=0)

    return jax.checkpoint(lambda y: jax.lax.scan(outer, y[0], y, reverse=True)[1].mean(axis=0))(x)


PLAIN = {
    "custom_jvp": plain(
        lambda p, x: jnp.tanh(scaled_product(x, p["w"])).mean(axis=0), w=(WIDTH, FEATURES)
    ),
    "custom_vjp": plain(
        lambda p, x: jnp.tanh(tripled_product(x, p["w"])).mean(axis=0), w=(WIDTH, FEATURES)
    ),
    "cond": plain(branches, w=(WIDTH, FEATURES)),
    "stacked layers": plain(stacked_layers, w=(3, WIDTH, WIDTH)),
    "carried by a loop": plain(carried, w=(WIDTH, WIDTH)),
    "both sides": plain(both_sides, left=(4, WIDTH), right=(7, FEATURES)),
    "kernels of heads": plain(heads_of_their_own, w=(2, 3, FEATURES)),
    "kernel times itself": plain(
        lambda p, x: jnp.tanh(x @ (p["w"] @ p["w"])).mean(axis=0)[:FEATURES], w=(WIDTH, WIDTH)
    ),
    "product of two": plain(
        lambda p, x: jnp.tanh(x @ (p["a"] @ p["b"])).mean(axis=0), a=(WIDTH, 8), b=(8, FEATURES)
    ),
    "kernel as a feature": plain(
        lambda p, x: jnp.tanh(x @ p["w"]).mean(axis=0) + p["w"][0], w=(WIDTH, FEATURES)
    ),
    "nnx": of_nnx,
    "two dtypes": plain(of_two_dtypes, w=(WIDTH, FEATURES)),
    "rule with a closure": plain(rule_with_a_closure, v=(WIDTH, WIDTH), w=(WIDTH, FEATURES)),
    "loops in checkpoints": plain(loops_in_checkpoints, w=(WIDTH, WIDTH), v=(WIDTH, FEATURES)),
    "kernel of size zero": plain(
        lambda p, x: jnp.tanh(x @ p["w"] + x[:, :0] @ p["none"]).mean(axis=0),
        w=(WIDTH, FEATURES),
        none=(0, FEATURES),
    ),
    "highest precision": plain(
        lambda p, x: jnp.tanh(jnp.dot(x, p["w"], precision="highest")).mean(axis=0),
        w=(WIDTH, FEATURES),
    ),
}
