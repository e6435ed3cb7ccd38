"""Text towers by name: turn one sample's captions into pooled features and word features."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from vatt_gh.models.layers import Dense, gelu
from vatt_gh.models.tokenize import AggregationToken, word_vectors
from vatt_gh.models.towers import WordTokens, word_mask
from vatt_gh.models.transformer import Encoder

Array = jax.Array


class T5Text(nn.Module):
    """T5 text tower: the aggregation token is a word vector and passes through all layers.

    Attributes:
        words, d_embedding: size of the word table.
        learn: whether word vectors are trained.
        width: number of features d.
        encoder: an Encoder in T5's form, unbound.
        dtype: dtype of the computation.
    """

    words: int
    d_embedding: int
    learn: bool
    width: int
    encoder: Encoder
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, ids: Array, train: bool) -> tuple[Array, Array]:
        """Encodes words [K, W] int32 -> pooled [K, width], words [K, W, width]."""
        y = word_vectors(ids, self.words, self.d_embedding, self.learn, self.dtype)
        y = AggregationToken(self.d_embedding, name="aggregate")(y)
        y = gelu(Dense(self.width, False, self.dtype, name="pre_proj")(y))
        y = self.encoder(y, word_mask(ids), train)
        return y[..., 0, :], y[..., 1:, :]


class BertText(nn.Module):
    """BERT text tower.

    Attributes:
        tokens: a WordTokens, unbound.
        encoder: an Encoder, unbound.
    """

    tokens: WordTokens
    encoder: Encoder

    @nn.compact
    def __call__(self, ids: Array, train: bool) -> tuple[Array, Array]:
        """Encodes words [K, W] int32 -> pooled [K, width], words [K, W, width]."""
        y = self.encoder(*self.tokens(ids, train), train)
        return y[..., 0, :], y[..., 1:, :]


class LinearText(nn.Module):
    """Dense and ReLU on every word, then the maximum over all positions, padding included.

    Attributes:
        words, d_embedding: size of the word table.
        learn: whether word vectors are trained.
        width: number of features d.
        dtype: dtype of the computation.
    """

    words: int
    d_embedding: int
    learn: bool
    width: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, ids: Array, train: bool) -> tuple[Array, Array]:
        """Encodes words [K, W] int32 -> pooled [K, width], words [K, W, width]; no dropout."""
        del train
        y = word_vectors(ids, self.words, self.d_embedding, self.learn, self.dtype)
        y = jax.nn.relu(Dense(self.width, dtype=self.dtype, name="dense")(y))
        return y.max(axis=-2), y


def encoder(model: ConfigDict, size: ConfigDict, *, use_bias: bool) -> Encoder:
    """Builds a transformer.

    Args:
        model: the configuration's `model`.
        size: its section with the sizes.
        use_bias: whether attention and MLPs have biases.

    Returns:
        The module, without parameters.
    """
    return Encoder(
        size.layers,
        size.heads,
        size.d_kv,
        size.d_ff,
        use_bias=use_bias,
        dropout_rate=model.dropout_rate,
        attention_dropout_rate=model.attention_dropout_rate,
        remat=model.remat,
        dtype=jnp.dtype(model.dtype),
    )


def word_tokens(model: ConfigDict, words: int, width: int, *, use_bias: bool) -> WordTokens:
    """Builds the tokens of captions, with learnt positions.

    Args:
        model: the configuration's `model`.
        words: rows of the word table.
        width: width of the tokens.
        use_bias: see WordTokens.

    Returns:
        The module, without parameters.
    """
    text = model.text
    return WordTokens(
        words,
        text.d_embedding,
        text.train_embeddings,
        width,
        text.buckets,
        use_bias,
        model.position_dropout_rate,
        jnp.dtype(model.dtype),
    )


def _t5(model: ConfigDict, words: int) -> T5Text:
    text, dtype = model.text, jnp.dtype(model.dtype)
    blocks = encoder(model, text, use_bias=False).clone(
        t5=True,
        relative_buckets=text.relative_buckets,
        relative_max_distance=text.relative_max_distance,
    )
    return T5Text(words, text.d_embedding, text.train_embeddings, text.d_model, blocks, dtype)


def _bert(model: ConfigDict, words: int) -> BertText:
    tokens = word_tokens(model, words, model.text.d_model, use_bias=False)
    return BertText(tokens, encoder(model, model.text, use_bias=True))


def _linear(model: ConfigDict, words: int) -> LinearText:
    text, dtype = model.text, jnp.dtype(model.dtype)
    return LinearText(words, text.d_embedding, text.train_embeddings, text.d_model, dtype)


# (configuration's `model`, number of words) -> a module that maps ([K, W] int32 ids, whether
# dropout is on) to pooled [K, d] and words [K, W, d]. A new tower needs one line here.
TEXT_TOWERS: dict[str, Callable[[ConfigDict, int], nn.Module]] = {
    "t5": _t5,
    "bert": _bert,
    "linear": _linear,
}
