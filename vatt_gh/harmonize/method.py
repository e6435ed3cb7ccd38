"""From a sample's inner products to what its gradients are multiplied with."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.conflict import cosines
from vatt_gh.harmonize.curriculum import sample_weights
from vatt_gh.harmonize.realign import realignment

Array = jax.Array


class Coefficients(NamedTuple):
    """What harmonization decides for each sample.

    Attributes:
        scale: [B, L] float32, factor of each loss' gradient; holds the weight.
        weight: [B] float32 in [0, 1], of the curriculum.
        cosine: [B] float32, smallest between two losses; 0 where it is not defined.
        defined: [B] bool, whether the sample has a cosine.
        exact_cosine: [B] float32, what `cosine` would be without a sketch; None where no check of
            the sketch was asked for.
    """

    scale: Array
    weight: Array
    cosine: Array
    defined: Array
    exact_cosine: Array | None = None


@dataclasses.dataclass(frozen=True)
class Method:
    """Realignment and curriculum, each alone or both.

    Where both are on, the curriculum drops first and realignment mends what is left.

    Attributes:
        realign: project out what conflicts.
        curriculum: weigh samples by their cosine.
        soft_temperature: see `sample_weights`.

    Raises:
        ValueError: the temperature is negative.
    """

    realign: bool
    curriculum: bool
    soft_temperature: float = 0.0

    def __post_init__(self):
        if not self.soft_temperature >= 0:
            raise ValueError(f"soft_temperature={self.soft_temperature}: expected 0 or more")

    def __call__(
        self, gram: Array, complete: Array, gamma: Array, size: Array | None = None
    ) -> Coefficients:
        """Decides for each sample.

        Args:
            gram: [B, L, L] float32 inner products of the sample's gradients.
            complete: [B] bool, False where a sample lacks a modality: it has no conflict and
                weight 1.
            gamma: [] float32, threshold of the curriculum.
            size: [B, L] float32 that the gradients were divided by before their inner products
                were taken; None: by nothing.

        Returns:
            The coefficients; NaN where an inner product is not finite.
        """
        cosine, defined = cosines(gram)
        defined = defined & complete
        cosine = jnp.where(complete, cosine, 0.0)
        ones = jnp.ones_like(cosine)
        weight = ones
        if self.curriculum:
            weights = sample_weights(cosine, gamma, soft_temperature=self.soft_temperature)
            weight = jnp.where(defined, weights, ones)
        scale = jnp.ones(gram.shape[:2], gram.dtype)
        if self.realign:
            scale = jnp.where(defined[:, None], realignment(gram, size), scale)
        return Coefficients(weight[:, None] * scale, weight, cosine, defined)
