"""The original's pre-norm transformer encoder, and its T5 encoder with mixed norms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vatt_gh.models.layers import LayerNorm, Mlp, RMSNorm, SelfAttention, padded
from vatt_gh.models.norm import StreamNorm

Array = jax.Array


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Attributes:
        heads, d_kv, d_ff: sizes.
        use_bias: whether Dense layers have biases.
        t5: T5's form: RMS norm before attention, unscaled scores. The norm before the MLP is an
            ordinary layer norm in both forms, as in the original.
        dropout_rate: dropout rate of the sub-layers' outputs and in the MLP.
        attention_dropout_rate: dropout rate of the attention weights.
        dtype: dtype of the computation.
    """

    heads: int
    d_kv: int
    d_ff: int
    use_bias: bool
    t5: bool
    dropout_rate: float
    attention_dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, x: Array, mask: Array | None, bias: Array | None, length: int, train: bool
    ) -> Array:
        """Maps [..., N, d] -> [..., N, d]; mask, bias and length as in SelfAttention."""
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        attention = SelfAttention(
            self.heads,
            self.d_kv,
            self.use_bias,
            1.0 if self.t5 else None,
            self.attention_dropout_rate,
            self.dtype,
            name="attention",
        )
        if self.t5:
            y = RMSNorm(dtype=self.dtype, name="norm_attention")(x)
        else:
            x, y = StreamNorm(self.dtype, name="norm_attention")(x)
        x = x + drop(attention(y, mask=mask, bias=bias, length=length, train=train))
        x, y = StreamNorm(self.dtype, name="norm_mlp")(x)
        mlp = Mlp(self.d_ff, self.use_bias, self.dropout_rate, self.dtype, name="mlp")
        return x + drop(mlp(y, train=train))


class Encoder(nn.Module):
    """A stack of blocks and a final norm; the T5 form adds relative positions.

    Attributes:
        layers, heads, d_kv, d_ff: sizes.
        use_bias: whether Dense layers have biases (T5: none).
        t5: T5's form.
        relative_buckets, relative_max_distance: settings of T5's relative position bias; needed
            with `t5` alone.
        dropout_rate, attention_dropout_rate: see Block.
        remat: recompute each block in the backward pass instead of keeping its activations.
        token_multiple: without a mask, tokens are padded inside to a multiple of this; for [N, d]
            with a `dropout_key` this changes the result only by rounding.
        dtype: dtype of the computation.
    """

    layers: int
    heads: int
    d_kv: int
    d_ff: int
    use_bias: bool = True
    t5: bool = False
    relative_buckets: int = 0
    relative_max_distance: int = 0
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    remat: bool = False
    token_multiple: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, mask: Array | None = None, train: bool = False) -> Array:
        """Encodes a sequence of tokens.

        Args:
            x: [..., N, d] tokens.
            mask: [..., N] bool, True = may be attended to; None: all may.
            train: whether dropout is on.

        Returns:
            [..., N, d].
        """
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        bias = None
        if self.t5:
            x = drop(x)
            bias = RelativePositionBias(
                self.heads, self.relative_buckets, self.relative_max_distance, name="relative"
            )(x.shape[-2])
        count = x.shape[-2]
        if mask is None:
            x = padded(x, count + -count % self.token_multiple, axis=-2)
        block = nn.remat(Block, static_argnums=(4, 5)) if self.remat else Block
        for index in range(self.layers):
            x = block(
                self.heads,
                self.d_kv,
                self.d_ff,
                self.use_bias,
                self.t5,
                self.dropout_rate,
                self.attention_dropout_rate,
                self.dtype,
                name=f"layer_{index}",
            )(x, mask, bias, count, train)
        norm = RMSNorm if self.t5 else LayerNorm
        return drop(norm(dtype=self.dtype, name="norm_final")(x[..., :count, :]))


class RelativePositionBias(nn.Module):
    """T5's learnt bias by bucketed distance, one per head.

    Attributes:
        heads: number of heads.
        buckets: number of buckets, half of them for keys after the query.
        max_distance: distance from which on all share the last bucket.
    """

    heads: int
    buckets: int
    max_distance: int

    @nn.compact
    def __call__(self, length: int) -> Array:
        """Returns [heads, length, length] float32."""
        init = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
        table = self.param("embedding", init, (self.buckets, self.heads), jnp.float32)
        bucket = relative_buckets(length, self.buckets, self.max_distance)
        return table[jnp.asarray(bucket)].transpose(2, 0, 1)


def relative_buckets(length: int, buckets: int, max_distance: int) -> np.ndarray:
    """Computes T5's bidirectional buckets of the distance from query to key.

    Args:
        length: number of tokens.
        buckets: number of buckets.
        max_distance: distance from which on all share the last bucket of their direction.

    Returns:
        [length, length] int32, row = query, column = key.
    """
    half = buckets // 2
    exact = half // 2
    behind = np.arange(length)[:, None] - np.arange(length)[None, :]  # query - key
    distance = np.abs(behind)
    # float32 as in the original: a distance on a bucket's edge must fall on the same side.
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
    far = exact + (ratio / np.float32(math.log(max_distance / exact)) * (half - exact)).astype(int)
    bucket = np.where(distance < exact, distance, np.minimum(far, half - 1))
    return (bucket + np.where(behind < 0, half, 0)).astype(np.int32)
