"""Computes the factors of a sample's gradients from their inner products."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.conflict import cosines
from vatt_gh.harmonize.curriculum import drop_lowest, sample_weights
from vatt_gh.harmonize.realign import equal_lengths, realignment

Array = jax.Array


class Coefficients(NamedTuple):
    """Harmonization's decisions for each sample.

    Attributes:
        scale: [B, L] float32, factor of each loss's gradient; includes the weight.
        weight: [B] float32 in [0, 1], weight from the curriculum.
        cosine: [B] float32, smallest between two losses; 0 where it is not defined.
        defined: [B] bool, whether the sample has a cosine.
        exact_cosine: [B] float32, value of `cosine` without a sketch; None unless a check of the
            sketch was requested.
        before: [B] float32, norm of the sample's ordinary gradient, summed over losses, in the
            parameters of the cosine; None where nothing is measured.
        after: [B] float32, the same with `scale`.
    """

    scale: Array
    weight: Array
    cosine: Array
    defined: Array
    exact_cosine: Array | None = None
    before: Array | None = None
    after: Array | None = None


SELECTIONS = ("threshold", "share")


@dataclasses.dataclass(frozen=True)
class Method:
    """Realignment and curriculum, each alone or both.

    With both, the curriculum drops samples first, and realignment corrects the rest.

    Attributes:
        realign: project out conflicts.
        curriculum: weigh samples by their cosine.
        soft_temperature: see `sample_weights`; only for select="threshold".
        select: the cutoff is a "threshold" on the cosine, or the "share" of the global batch to
            drop, the lowest cosines (ours; not in the paper).
        equal_lengths: scale a sample's gradients to equal length before they are projected and
            added, so that the loss with the larger gradient does not dominate (ours).
        axis_name: named axis of the devices that share the batch, for "share".

    Raises:
        ValueError: the temperature is negative, or the selection is unknown.
    """

    realign: bool
    curriculum: bool
    soft_temperature: float = 0.0
    select: str = "threshold"
    equal_lengths: bool = False
    axis_name: str | None = None

    def __post_init__(self):
        if not self.soft_temperature >= 0:
            raise ValueError(f"soft_temperature={self.soft_temperature}: expected 0 or more")
        if self.select not in SELECTIONS:
            raise ValueError(f"select={self.select!r}: expected one of {', '.join(SELECTIONS)}")

    def __call__(
        self, gram: Array, complete: Array, cutoff: Array, size: Array | None = None
    ) -> Coefficients:
        """Computes the coefficients of each sample.

        Args:
            gram: [B, L, L] float32 inner products of the sample's gradients.
            complete: [B] bool, False where a sample lacks a modality: it has no conflict and
                weight 1.
            cutoff: [] float32, threshold of the curriculum, or share to drop.
            size: [B, L] float32, divisors of the gradients before their inner products were taken;
                None: not divided.

        Returns:
            The coefficients; NaN where an inner product is not finite.
        """
        size = jnp.ones(gram.shape[:2], gram.dtype) if size is None else size
        cosine, defined = cosines(gram)
        defined = defined & complete
        cosine = jnp.where(complete, cosine, 0.0)
        weight = self._weight(cosine, defined, cutoff)
        scale = jnp.ones_like(size)
        if self.equal_lengths:
            scale = jnp.where(defined[:, None], equal_lengths(gram, size), scale)
        if self.realign:
            balanced = gram * scale[:, :, None] * scale[:, None, :]
            scale = scale * jnp.where(defined[:, None], realignment(balanced, size), 1.0)
        scale = weight[:, None] * scale
        return Coefficients(
            scale,
            weight,
            cosine,
            defined,
            before=_norm_of_sum(gram, size),
            after=_norm_of_sum(gram, size * scale),
        )

    def _weight(self, cosine: Array, defined: Array, cutoff: Array) -> Array:
        if not self.curriculum:
            return jnp.ones_like(cosine)
        if self.select == "share":
            return drop_lowest(cosine, defined, cutoff, self.axis_name)
        weights = sample_weights(cosine, cutoff, soft_temperature=self.soft_temperature)
        return jnp.where(defined, weights, jnp.ones_like(cosine))


def _norm_of_sum(gram: Array, factor: Array) -> Array:
    """Computes norms [B] of sum_l factor[b, l] x gradient l, from their inner products."""
    largest = jnp.max(jnp.abs(factor), axis=1, keepdims=True)
    share = factor / jnp.where(largest > 0, largest, 1.0)
    squared = jnp.einsum("bl,blm,bm->b", share, gram, share, precision="highest")
    # Opposite gradients sum to zero, and rounding may make it negative.
    return largest[:, 0] * jnp.sqrt(jnp.maximum(squared, 0.0))
