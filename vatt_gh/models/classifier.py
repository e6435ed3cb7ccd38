"""The fine-tuning classifier on a video or audio tower; its losses are in `vatt_gh.losses`."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from vatt_gh.models.towers import GridTower, Spectrogram, as_grid
from vatt_gh.models.vatt import grid_tower, spectrogram

Array = jax.Array


class Classifier(nn.Module):
    """Tower, dropout on its pooled feature, Dense.

    Attributes:
        backbone: the tower, unbound.
        classes: number of classes K.
        dropout_rate: rate on the pooled feature; the original uses 0.5 for video and 0 for audio.
        multi_label: whether a sample may have several classes (sigmoid, like the original's audio
            classifier) or has one (softmax, like its video classifier).
        spectrogram: turns sound into an image for an audio tower that needs one, or None.
        freeze_backbone: whether the tower stays unchanged.
    """

    backbone: GridTower
    classes: int
    dropout_rate: float
    multi_label: bool
    spectrogram: Spectrogram | None = None
    freeze_backbone: bool = False

    @nn.compact
    def __call__(self, x: Array, keep: Array | None, train: bool) -> Array:
        """Classifies ONE clip.

        Args:
            x: video [T, H, W, 3] or sound [S] float32.
            keep: [n] int32 indices of the tokens that DropToken keeps, or None for all.
            train: whether dropout is on (needs the 'dropout' random stream).

        Returns:
            [K] float32 logits.
        """
        if x.ndim == 1:
            x = as_grid(x, self.spectrogram)
        pooled, _ = self.backbone(x, keep, train)
        if self.freeze_backbone:
            pooled = jax.lax.stop_gradient(pooled)
        pooled = nn.Dropout(self.dropout_rate, deterministic=not train)(pooled)
        if self.multi_label:
            kernel_init = nn.initializers.glorot_uniform()
            # Every class starts at probability 1 / K.
            bias_init = nn.initializers.constant(-math.log(max(self.classes - 1, 1)))
        else:
            kernel_init, bias_init = nn.initializers.glorot_normal(), nn.initializers.zeros
        dense = nn.Dense(
            self.classes, kernel_init=kernel_init, bias_init=bias_init, name="classifier"
        )
        return dense(pooled.astype(jnp.float32))


def build_classifier(
    model: ConfigDict,
    modality: str,
    *,
    classes: int,
    audio_rate: int,
    multi_label: bool,
    dropout_rate: float,
    freeze_backbone: bool = False,
) -> Classifier:
    """Builds the classifier on the video or audio tower of a configuration.

    The tower of a shared encoder includes its projections before and after the encoder, so that
    it can start from that encoder's weights.

    Args:
        model: section of the configuration.
        modality: 'video' or 'audio'.
        classes: number of classes.
        audio_rate: sample rate of the sound, in Hz.
        multi_label: see Classifier.
        dropout_rate: see Classifier.
        freeze_backbone: see Classifier.

    Returns:
        The module; it holds no parameters.
    """
    return Classifier(
        grid_tower(model, modality),
        classes,
        dropout_rate,
        multi_label,
        spectrogram(model, audio_rate) if modality == "audio" else None,
        freeze_backbone,
    )


def average_views(logits: Array, views: int) -> Array:
    """Averages LOGITS over the views of a video: [N * views, K], views adjacent -> [N, K]."""
    return logits.reshape(-1, views, logits.shape[-1]).mean(axis=1)
