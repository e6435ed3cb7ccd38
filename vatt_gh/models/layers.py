"""Dense, normalisation and attention layers in the original's form, batched over leading axes."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from vatt_gh.models.bits import is_hashed
from vatt_gh.models.flash import flash_attention
from vatt_gh.models.norm import EPSILON

Array = jax.Array

LayerNorm = functools.partial(nn.LayerNorm, epsilon=EPSILON, use_fast_variance=False)
RMSNorm = functools.partial(nn.RMSNorm, epsilon=EPSILON)
Dense = functools.partial(nn.Dense, kernel_init=nn.initializers.glorot_uniform())


@jax.custom_vjp
def gelu(x: Array) -> Array:
    """Multiplies x by the standard normal distribution function of x: the original's exact GELU.

    Computes in float32, for any shape and dtype. The pullback keeps only the slope, in x's dtype;
    it is as large as x, which nothing else needs, and serves the cotangents of all losses.

    Source: Hendrycks and Gimpel, Gaussian error linear units (2016).
    """
    return _gelu_forward(x)[0]


def _gelu_forward(x: Array) -> tuple[Array, Array]:
    wide = x.astype(jnp.float32)
    share = 0.5 + 0.5 * jax.lax.erf(wide * 0.5**0.5)
    density = jnp.exp(-0.5 * wide * wide) * (2 * math.pi) ** -0.5
    return (wide * share).astype(x.dtype), (share + wide * density).astype(x.dtype)


def _gelu_backward(slope: Array, cotangent: Array) -> tuple[Array]:
    return (cotangent * slope,)


gelu.defvjp(_gelu_forward, _gelu_backward)


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Attributes:
        heads: number of heads.
        d_kv: width of one head; heads * d_kv need not be the model's width.
        use_bias: whether the four projections have biases.
        scale: factor on the scores; None: 1/sqrt(d_kv); T5 uses 1.
        dropout_rate: dropout rate of the attention weights.
        dtype: dtype of the computation; the softmax is float32.
    """

    heads: int
    d_kv: int
    use_bias: bool = True
    scale: float | None = None
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        mask: Array | None = None,
        bias: Array | None = None,
        length: int | None = None,
        train: bool = False,
    ) -> Array:
        """Attends over the tokens of one sequence (or of several, along leading axes).

        Args:
            x: [N, d] or [K, N, d].
            mask: [length] or [K, length] bool, True = may be attended to; None: all may.
            bias: [heads, length, length] float32 added to the scores, or None.
            length: tokens from here on are padding and take no part; None: N.
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
        rate = self.dropout_rate if train else 0.0
        random = self.make_rng("dropout") if rate else None
        if mask is None and bias is None and self._fused(query, random):
            data = jnp.zeros(2, jnp.uint32) if random is None else jax.random.key_data(random)
            y = flash_attention(
                query, key, value, data, scale=self._scale(), rate=rate, length=length
            )
        else:
            query, key, value = (part[..., :length, :, :] for part in (query, key, value))
            y = self._attend(query, key, value, mask, bias, random)
            y = padded(y, x.shape[-2], axis=-3)
        y = y.reshape(*y.shape[:-2], self.heads * self.d_kv)
        return Dense(x.shape[-1], self.use_bias, self.dtype, name="out")(y)

    def _scale(self) -> float:
        return self.d_kv**-0.5 if self.scale is None else self.scale

    def _fused(self, query: Array, random: Array | None) -> bool:
        """Tells whether a kernel that keeps the weights on the chip supports this call."""
        return (
            jax.default_backend() == "gpu"
            and query.ndim == 3
            and self.dtype == jnp.bfloat16
            and self.d_kv in (16, 32, 64, 128)
            and (random is None or is_hashed(random))
        )

    def _attend(
        self,
        query: Array,
        key: Array,
        value: Array,
        mask: Array | None,
        bias: Array | None,
        random: Array | None,
    ) -> Array:
        """Uses JAX's own attention if there is no dropout on the weights; otherwise the formula."""
        if random is None:
            batched = None if bias is None else bias[None]
            mask4 = mask if mask is None or mask.ndim == 4 else mask[None]
            return jax.nn.dot_product_attention(
                query, key, value, batched, mask4, scale=self._scale()
            )
        # float32 from here on: scores rounded to bfloat16 would shift the softmax.
        scores = jnp.einsum("...qhd,...khd->...hqk", query, key, preferred_element_type=jnp.float32)
        scores = scores * self._scale()
        if bias is not None:
            scores = scores + bias
        if mask is not None:
            scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
        weights = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
        weights = nn.Dropout(self.dropout_rate, deterministic=False)(weights, rng=random)
        return jnp.einsum("...hqk,...khd->...qhd", weights, value)


def padded(x: Array, count: int, axis: int) -> Array:
    """Pads an axis with zeros at its end, to `count` positions."""
    after = count - x.shape[axis]
    if not after:
        return x
    width = [(0, 0)] * x.ndim
    width[axis] = (0, after)
    return jnp.pad(x, width)


class Mlp(nn.Module):
    """Dense, GELU, dropout, Dense.

    Attributes:
        d_ff: width of the hidden layer.
        use_bias: whether the two Dense layers have biases.
        dropout_rate: dropout rate of the hidden layer.
        dtype: dtype of the computation.
    """

    d_ff: int
    use_bias: bool = True
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Maps [..., d] -> [..., d]."""
        y = gelu(Dense(self.d_ff, self.use_bias, self.dtype, name="wi")(x))
        y = nn.Dropout(self.dropout_rate, deterministic=not train)(y)
        return Dense(x.shape[-1], self.use_bias, self.dtype, name="wo")(y)
