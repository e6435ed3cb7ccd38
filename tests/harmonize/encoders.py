"""Typical encoders of users: one sample in, its features [FEATURES] out.

Each maker returns (encode, params, inputs of BATCH samples). `FORMED` names the encoders with
parameters that must be formed sample by sample, and the required log text.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from inputs import FEATURES, TOKENS, WIDTH, WORDS, frames, words
from plain_encoders import PLAIN


def of_module(module, inputs=None, **collections):
    """An encoder from a Flax module."""
    inputs = frames() if inputs is None else inputs
    params = module.init(jax.random.key(0), inputs[0])["params"]
    return lambda p, x: module.apply({"params": p, **collections}, x), params, inputs


def of_function(function):
    """A maker from the body of a compact module: function(x) -> features."""

    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, x):
            return function(x)

    return lambda: of_module(Encoder())


def on_words(shape, function):
    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, ids):
            return function(ids)

    return lambda: of_module(Encoder(), words(shape))


def head(x):
    """Features of [..., width]."""
    return nn.Dense(FEATURES, name="head")(nn.gelu(x)).reshape(-1, FEATURES).mean(axis=0)


# Layers with the same input for every sample


def position_embedding(x):
    # Longer than the clip: otherwise its gradients would be as small as the data, and formed.
    return head(x + nn.Embed(WORDS, WIDTH)(jnp.arange(TOKENS)))


def learned_queries(x):
    queries = nn.Embed(WORDS, WIDTH, name="queries")(jnp.arange(4))
    keys = nn.Dense(WIDTH, name="keys")(x)
    mixed = jax.nn.softmax(nn.Dense(WIDTH, name="q")(queries) @ keys.T) @ x
    return head(mixed)


def fourier_features(x):
    time = jnp.linspace(0.0, 1.0, TOKENS)[:, None] * jnp.arange(1, 9)
    return head(x + nn.Dense(WIDTH, name="time")(jnp.sin(time)))


def hypernetwork(x):
    weights = nn.Dense(WIDTH * WIDTH, name="hyper")(jnp.ones(7)).reshape(WIDTH, WIDTH)
    return head(x @ weights)


# Loops and inner batches


class Frame(nn.Module):
    @nn.compact
    def __call__(self, frame):
        return nn.Dense(WIDTH, name="second")(nn.gelu(nn.Dense(9, name="first")(frame)))


def lifted_vmap(x):
    shared = nn.vmap(Frame, variable_axes={"params": None}, split_rngs={"params": False})
    return head(shared(name="frame")(x))


def inner(transform):
    """Applies a Dense under a transformation of jax, frame by frame."""

    def make():
        keys = jax.random.split(jax.random.key(3), 3)
        params = {
            "frame": Frame().init(keys[0], frames()[0, 0])["params"],
            "head": nn.Dense(FEATURES).init(keys[1], frames()[0])["params"],
        }

        def encode(p, x):
            y = transform(lambda frame: Frame().apply({"params": p["frame"]}, frame), x)
            return nn.Dense(FEATURES).apply({"params": p["head"]}, y).mean(axis=0)

        return encode, params, frames()

    return make


def scan_of_checkpoints(function, x):
    step = jax.checkpoint(lambda carry, frame: (carry + function(frame), carry))
    return jax.lax.scan(step, jnp.zeros(WIDTH), x)[1]


class Step(nn.Module):
    @nn.compact
    def __call__(self, carry, x):
        carry = jnp.tanh(nn.Dense(WIDTH, name="h")(carry) + nn.Dense(WIDTH, name="x")(x))
        return carry, carry


def shared_scan(x):
    scan = nn.scan(Step, variable_broadcast="params", split_rngs={"params": False})
    return head(scan(name="scan")(jnp.zeros(WIDTH), x)[1])


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.LayerNorm()(x + nn.Dense(WIDTH)(nn.gelu(nn.Dense(9)(x))))


class DepthBlock(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return Block(name="block")(x), None


def scan_over_depth(x):
    scan = nn.scan(DepthBlock, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
    return head(scan(name="depth")(x, None)[0])


# A parameter used in more than one way


class Tied(nn.Module):
    attend: bool

    @nn.compact
    def __call__(self, ids):
        embed = nn.Embed(WORDS, WIDTH, name="embed")
        h = nn.gelu(nn.Dense(WIDTH, name="dense")(embed(ids)))
        scores = embed.attend(h) if self.attend else h @ embed.embedding.T
        return jax.nn.softmax(scores).mean(axis=0)[:FEATURES]


def doubled():
    encode, params, x = of_function(lambda x: head(Block()(x)))()
    return lambda p, s: encode(jax.tree.map(lambda w: 2 * w, p), s), params, x


def two_networks(combine):
    """Networks with equal inner names; `combine(net, p, x)` decides how to apply net(p, x)."""

    def make():
        net = Block()
        keys = jax.random.split(jax.random.key(5), 2)
        first, second = (net.init(key, frames()[0])["params"] for key in keys)
        params = {"online": first, "target": second}

        def encode(p, x):
            apply = lambda own, y: net.apply({"params": own}, y)  # noqa: E731
            return combine(apply, p, x).mean(axis=0)[:FEATURES]

        return encode, params, frames()

    return make


def frozen_twin_first(apply, p, x):
    frozen = jax.tree.map(lambda w: w + 0.1, jax.lax.stop_gradient(p["online"]))
    return apply(frozen, x) * apply(p["online"], x) + 0.0 * p["target"]["Dense_0"]["bias"].sum()


def moving_average():
    encode, params, x = two_networks(lambda apply, p, x: apply(p["online"], x))()
    average = jax.tree.map(lambda w: 0.9 * w, params)
    return lambda p, s: encode(p, s) - encode(average, s) + encode(p, s[::-1]) ** 2, params, x


def unrelated_networks():
    """Two modules whose parameters have the same names, in one flat tree each."""
    one, two = nn.Sequential([nn.Dense(9), nn.gelu, nn.Dense(FEATURES)]), nn.Dense(FEATURES)
    keys = jax.random.split(jax.random.key(6), 2)
    x = frames()
    params = [m.init(key, x[0])["params"] for m, key in zip((one, two), keys, strict=True)]
    params = (params[0], {"layers_0": params[1]})

    def encode(p, s):
        other = two.apply({"params": p[1]["layers_0"]}, s)
        return (one.apply({"params": p[0]}, s) * other).mean(axis=0)

    return encode, params, x


class CalledTwice(nn.Module):
    @nn.compact
    def __call__(self, x):
        block = nn.jit(Block)(name="block")
        return head(block(block(x)))


def standardised(x):
    def standard(variables):
        return jax.tree.map(lambda w: (w - w.mean()) / (w.std() + 1e-3), variables)

    layer = nn.map_variables(nn.Dense, "params", standard, init=True)
    return head(layer(9, use_bias=False, name="standard")(x))


# Inner differentiation


def inner_derivative(derivative):
    def make():
        net = nn.Sequential([nn.Dense(9), nn.tanh, nn.Dense(FEATURES)])
        params = net.init(jax.random.key(7), frames()[0])["params"]

        def encode(p, x):
            return derivative(lambda y: net.apply({"params": p}, y).mean(axis=0), x)

        return encode, params, frames()

    return make


# Lookups


def of_class(label):
    return nn.Dense(FEATURES, name="head")(nn.Embed(WORDS, WIDTH, name="classes")(label))


def of_captions(ids):
    return head(nn.Embed(WORDS, WIDTH, name="words")(ids))


def lookup(take):
    """Ids from -3 to beyond the table's end."""

    def make():
        params = {"table": jax.random.normal(jax.random.key(8), (WORDS, FEATURES))}
        ids = jnp.array([[-3, 4, 4], [WORDS - 1, WORDS + 2, 0], [1, 2, 47], [-1, -2, WORDS]])
        return lambda p, i: jnp.nan_to_num(take(p["table"], i)).sum(axis=0) ** 2, params, ids

    return make


# Encoders that always worked


def perceiver(x):
    queries = nn.Embed(WORDS, WIDTH, name="latents").embedding
    attention = nn.MultiHeadDotProductAttention(2, name="attention")
    return head(attention(queries, x))


def many_axes(x):
    y = nn.DenseGeneral((3, 4), name="split")(x)
    y = nn.DenseGeneral(WIDTH, axis=(-2, -1), name="join")(y)
    y = nn.Einsum((WIDTH, 7), "td,dh->ht", name="einsum")(y)
    return head(y)


def normalised_weights(x):
    return head(nn.WeightNorm(nn.Dense(9, name="normal"), name="weight")(x))


def spectral():
    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, x):
            layer = nn.SpectralNorm(nn.Dense(9, name="normal"), name="spectral")
            return head(layer(x, update_stats=False))

    module = Encoder()
    variables = module.init(jax.random.key(0), frames()[0])
    return of_module(module, batch_stats=variables["batch_stats"])


def by_keyword(x):
    return head(Block()(x=nn.Dense(features=WIDTH, name="keyword")(inputs=x)))


def twice(x):
    block = Block(name="block")
    return head(block(block(x)) * nn.remat(Block)(name="again")(x))


def siamese():
    encode, params, x = of_function(lambda x: head(Block()(x)))()
    return lambda p, s: encode(p, s) * encode(p, s[::-1]), params, x


def compiled():
    encode, params, x = of_function(lambda x: head(Block()(x)))()
    return jax.jit(encode), params, x


def checkpointed():
    encode, params, x = of_function(lambda x: head(Block()(x)))()
    saved = jax.checkpoint_policies.dots_saveable
    return jax.checkpoint(encode, policy=saved), params, x


ENCODERS = {
    "embedded positions": of_function(position_embedding),
    "learned queries": of_function(learned_queries),
    "fourier features": of_function(fourier_features),
    "hypernetwork": of_function(hypernetwork),
    "nn.vmap": of_function(lifted_vmap),
    "jax.vmap": inner(lambda f, x: jax.vmap(f)(x)),
    "vmap of vmap": inner(lambda f, x: jax.vmap(jax.vmap(f))(x.reshape(1, *x.shape))[0]),
    "lax.map": inner(jax.lax.map),
    "scan of checkpoints": inner(scan_of_checkpoints),
    "nn.scan, shared": of_function(shared_scan),
    "GRU": of_function(lambda x: head(nn.RNN(nn.GRUCell(WIDTH), name="rnn")(x))),
    "LSTM": of_function(lambda x: head(nn.RNN(nn.OptimizedLSTMCell(WIDTH), reverse=True)(x))),
    "tied by hand": lambda: of_module(Tied(False), words()),
    "tied by attend": lambda: of_module(Tied(True), words()),
    "doubled": doubled,
    "frozen twin": two_networks(frozen_twin_first),
    "twin behind stop_gradient": two_networks(
        lambda apply, p, x: apply(p["online"], x) * apply(jax.lax.stop_gradient(p["online"]), x)
    ),
    "target network": two_networks(
        lambda apply, p, x: apply(p["target"], x) * apply(p["online"], x)
    ),
    "moving average": moving_average,
    "colliding names": unrelated_networks,
    "nn.jit, called twice": lambda: of_module(CalledTwice()),
    "nn.map_variables": of_function(standardised),
    "jax.grad": inner_derivative(
        lambda f, x: jax.grad(lambda y: (f(y) ** 2).sum())(x)[0, :FEATURES]
    ),
    "jax.linearize": inner_derivative(lambda f, x: jax.linearize(f, x)[1](x)),
    "jax.jvp": inner_derivative(lambda f, x: jax.jvp(f, (x,), (jnp.cos(x),))[1]),
    "class label": on_words((), of_class),
    "captions x words": on_words((2, 3), of_captions),
    "ids that wrap": lookup(lambda table, ids: jnp.take(table, ids, axis=0, mode="wrap")),
    "ids that are clipped": lookup(lambda table, ids: jnp.take(table, ids, axis=0, mode="clip")),
    "ids that are filled": lookup(lambda table, ids: jnp.take(table, ids, axis=0)),
    "Conv": of_function(lambda x: head(nn.Conv(7, (3,), name="conv")(x))),
    "ConvTranspose": of_function(lambda x: head(nn.ConvTranspose(7, (3,), name="conv")(x))),
    "attention": of_function(lambda x: head(nn.MultiHeadDotProductAttention(2)(x))),
    "many axes": of_function(many_axes),
    "WeightNorm": of_function(normalised_weights),
    "SpectralNorm": spectral,
    "keywords": of_function(by_keyword),
    "called twice and remat": of_function(twice),
    "checkpoint": checkpointed,
    "jit": compiled,
    "scan over depth": of_function(scan_over_depth),
    "Perceiver": of_function(perceiver),
    "siamese": siamese,
    **PLAIN,
}
FORMED = {
    "tied by hand": "embed/embedding",
    "tied by attend": "embed/embedding",
    "doubled": "is used by mul",
    "nn.map_variables": "standard/kernel",
    "LSTM": "is used by concatenate",
    "jax.grad": "is used in several forms",
    "Conv": "is used by conv_general_dilated",
    "ConvTranspose": "is used by conv_general_dilated",
    "Perceiver": "attention/query/kernel",
    "WeightNorm": "normal/kernel",
    "SpectralNorm": "normal/kernel",
    "custom_jvp": "is used by custom_jvp_call",
    "custom_vjp": "is used by custom_vjp_call",
    "cond": "is used by cond",
    "stacked layers": "is used by slice",
    "carried by a loop": "is carried through or cut into pieces by a loop",
    "scan over depth": "is carried through or cut into pieces by a loop",
    "kernels of heads": "is used by dot_general",
    "kernel times itself": "is used by dot_general",
    "product of two": "is used by dot_general",
    "kernel as a feature": "is used by slice",
    "rule with a closure": "a custom derivative in the encoder closes over values",
}


@functools.cache
def made(name):
    return ENCODERS[name]()
