"""Turns raw video, sound and word ids into tokens: patches, positions, the aggregation token.

Every module takes ONE sample (vmap batches leading axes), so that a sample's pass is the same
alone or in a batch. DropToken is passed as `keep`, the indices of the kept tokens; dropped tokens
are never embedded, which gives the same numbers as dropping them afterwards.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vatt_gh.models.interpolate import spline_matrix
from vatt_gh.models.layers import LayerNorm

Array = jax.Array


def patches(x: Array, window: Sequence[int]) -> Array:
    """Cuts a grid into non-overlapping patches; drops an incomplete patch at the end.

    Args:
        x: [*grid, channels], any number of grid axes.
        window: patch size along each grid axis.

    Returns:
        [N, prod(window) * channels], row-major over the grid of patches.
    """
    counts = [length // size for length, size in zip(x.shape[:-1], window, strict=True)]
    x = x[tuple(slice(n * size) for n, size in zip(counts, window, strict=True))]
    split = [n for pair in zip(counts, window, strict=True) for n in pair]
    x = x.reshape(*split, x.shape[-1])
    # [count, size, count, size, ..., channels] -> [counts, sizes, channels]
    order = (*range(0, x.ndim - 1, 2), *range(1, x.ndim - 1, 2), x.ndim - 1)
    return x.transpose(order).reshape(math.prod(counts), -1)


class PatchEmbed(nn.Module):
    """A convolution whose stride equals its kernel size, as one matrix product over patches.

    Attributes:
        width: number of output features d.
        window: patch size along each grid axis.
        dtype: dtype of the computation.
    """

    width: int
    window: tuple[int, ...]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Embeds patches [N, prod(window) * channels] (see `patches`) to [N, width]."""
        channels = x.shape[-1] // math.prod(self.window)
        shape = (*self.window, channels, self.width)
        # With the receptive field in the fans, as in Keras convolutions.
        init = nn.initializers.glorot_uniform()
        kernel = self.param("kernel", init, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        kernel = kernel.reshape(-1, self.width).astype(self.dtype)
        return x.astype(self.dtype) @ kernel + bias.astype(self.dtype)


class PositionTable(nn.Module):
    """A learnt position table, interpolated if the grid's length differs from the table's.

    Attributes:
        rows: number of positions in the table.
        width: number of features d.
    """

    rows: int
    width: int

    @nn.compact
    def __call__(self, index: Array, length: int) -> Array:
        """Looks up positions.

        Args:
            index: [N] int32 positions on the grid axis.
            length: number of positions on the grid axis; if it is not `rows`, a cubic polyharmonic
                spline resizes the table.

        Returns:
            [N, width] float32.
        """
        init = nn.initializers.truncated_normal(stddev=self.width**-0.5)
        table = self.param("embedding", init, (self.rows, self.width), jnp.float32)
        if length != self.rows:
            table = jnp.asarray(spline_matrix(self.rows, length), jnp.float32) @ table
        return table[index]


class Positions(nn.Module):
    """Sum of a grid's position tables, normalised: LayerNorm sees only positions.

    Attributes:
        names: name of each grid axis' table.
        rows: number of rows of each table.
        width: number of features d.
        axis_major: the order in which tokens are numbered along the axes: a permutation of the
            axes, outermost first. The original numbers a spectrogram's positions by mel bin first
            although its tokens are laid out by time first, hence (1, 0) there.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    width: int
    axis_major: tuple[int, ...]

    @nn.compact
    def __call__(self, grid: tuple[int, ...], keep: Array | None) -> Array:
        """Returns the positions [N or len(keep), width] float32 of the kept tokens of a grid."""
        ids = np.indices([grid[axis] for axis in self.axis_major]).reshape(len(grid), -1)
        total = 0.0
        for place, axis in enumerate(self.axis_major):
            index = jnp.asarray(ids[place], jnp.int32)
            index = index if keep is None else index[keep]
            table = PositionTable(self.rows[axis], self.width, name=self.names[axis])
            total = total + table(index, grid[axis])
        return LayerNorm(name="norm")(total)


class AggregationToken(nn.Module):
    """Prepends one learnt token; its output is the pooled feature.

    Attributes:
        width: number of features d.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Adds the token: [..., N, width] -> [..., 1 + N, width]."""
        # Keras's glorot_normal on a vector: variance 1/d after truncation at two sigma.
        init = nn.initializers.truncated_normal(stddev=self.width**-0.5 / 0.87962566103423978)
        token = self.param("embedding", init, (self.width,), jnp.float32)
        token = jnp.broadcast_to(token.astype(x.dtype), (*x.shape[:-2], 1, self.width))
        return jnp.concatenate([token, x], axis=-2)


def word_vectors(ids: Array, words: int, width: int, learn: bool, dtype: jnp.dtype) -> Array:
    """Looks up word vectors in the table `embed` of the calling module.

    Args:
        ids: [..., W] int32 word ids.
        words: number of rows of the table.
        width: number of features per word.
        learn: whether the vectors are trained; the original freezes word2vec.
        dtype: dtype of the result.

    Returns:
        [..., W, width].
    """
    init = nn.initializers.normal(0.05)
    vectors = nn.Embed(words, width, embedding_init=init, dtype=dtype, name="embed")(ids)
    return vectors if learn else jax.lax.stop_gradient(vectors)
