"""Dense, normalisation and attention layers in the original's form, batched over leading axes."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

Array = jax.Array

# The original's GELU is the exact one; its LayerNorm has epsilon 1e-6 everywhere.
gelu = functools.partial(jax.nn.gelu, approximate=False)
LayerNorm = functools.partial(nn.LayerNorm, epsilon=1e-6, use_fast_variance=False)
RMSNorm = functools.partial(nn.RMSNorm, epsilon=1e-6)
Dense = functools.partial(nn.Dense, kernel_init=nn.initializers.glorot_uniform())


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Attributes:
        heads: number of heads.
        d_kv: width of one head; heads * d_kv need not be the model's width.
        use_bias: whether the four projections have biases.
        scale: factor on the scores; None is 1/sqrt(d_kv), T5 has 1.
        dropout_rate: on the attention weights. 0 permits a fused kernel.
        dtype: of the computation; the softmax is float32.
    """

    heads: int
    d_kv: int
    use_bias: bool = True
    scale: float | None = None
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, *, mask: Array | None = None, bias: Array | None = None, train: bool = False
    ) -> Array:
        """Attends over the tokens of one sequence (or of several, along leading axes).

        Args:
            x: [N, d] or [K, N, d].
            mask: [N] or [K, N] bool, True = may be attended to; None: all may.
            bias: [heads, N, N] float32 added to the scores, or None.
            train: whether dropout is on (needs the 'dropout' random stream).

        Returns:
            Same shape as x.
        """

        def project(name: str) -> Array:
            y = Dense(self.heads * self.d_kv, self.use_bias, self.dtype, name=name)(x)
            return y.reshape(*y.shape[:-1], self.heads, self.d_kv)

        query, key, value = project("query"), project("key"), project("value")
        if mask is not None:
            mask = mask[..., None, None, :]  # [K, 1, 1, N] or [1, 1, N]
        if train and self.dropout_rate:
            y = self._attend_with_dropout(query, key, value, mask, bias)
        else:
            batched = None if bias is None else bias[None]
            mask4 = mask if mask is None or mask.ndim == 4 else mask[None]
            y = jax.nn.dot_product_attention(query, key, value, batched, mask4, scale=self._scale())
        y = y.reshape(*y.shape[:-2], self.heads * self.d_kv)
        return Dense(x.shape[-1], self.use_bias, self.dtype, name="out")(y)

    def _scale(self) -> float:
        return self.d_kv**-0.5 if self.scale is None else self.scale

    def _attend_with_dropout(
        self, query: Array, key: Array, value: Array, mask: Array | None, bias: Array | None
    ) -> Array:
        # float32 from the product on: scores rounded to bfloat16 would move the softmax.
        scores = jnp.einsum("...qhd,...khd->...hqk", query, key, preferred_element_type=jnp.float32)
        scores = scores * self._scale()
        if bias is not None:
            scores = scores + bias
        if mask is not None:
            scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
        weights = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
        weights = nn.Dropout(self.dropout_rate, deterministic=False)(weights)
        return jnp.einsum("...hqk,...khd->...qhd", weights, value)


class Mlp(nn.Module):
    """Dense, GELU, dropout, Dense.

    Attributes:
        d_ff: width of the hidden layer.
        use_bias: whether the two Dense layers have biases.
        dropout_rate: on the hidden layer.
        dtype: of the computation.
    """

    d_ff: int
    use_bias: bool = True
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """[..., d] -> [..., d]."""
        y = gelu(Dense(self.d_ff, self.use_bias, self.dtype, name="wi")(x))
        y = nn.Dropout(self.dropout_rate, deterministic=not train)(y)
        return Dense(x.shape[-1], self.use_bias, self.dtype, name="wo")(y)
