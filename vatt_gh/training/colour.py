"""Colour augmentation for the videos of a batch.

The host draws each sample's numbers with its window. Colours are changed here, because devices
have time for a few operations per value, but hosts, which decode, do not.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

Array = jax.Array

WHITE = 255.0
_CENTRES = (0.0, 2.0, 4.0)  # sixths of a turn at which the hue is red, green, blue


def changes_colours(data: ConfigDict) -> bool:
    """Tells whether a configuration changes the colours of training samples."""
    return data.augmentation != "none" and data.colour_jitter > 0


def recoloured(video: Array, colour: Array, data: ConfigDict) -> Array:
    """Changes the colours of each sample by its own numbers, equally in all its frames.

    Args:
        video: [B, T, H, W, 3] uint8.
        colour: [B, 4] float32, see `vatt_gh.batch.COLOUR`.
        data: config.data; adjustments that are 0 are skipped.

    Returns:
        Same shape and dtype, rounded to the nearest level.
    """

    def one(sample: tuple[Array, Array]) -> Array:
        levels, (brightness, saturation, contrast, hue) = sample
        changed = adjust_colour(
            levels.astype(jnp.float32),
            brightness,
            saturation if data.saturation else None,
            contrast if data.contrast else None,
            hue if data.hue else None,
        )
        return jnp.round(changed).astype(jnp.uint8)

    # One video at a time: as floats, videos take four times their memory.
    return jax.lax.map(one, (video, colour))


def adjust_colour(
    video: Array,
    brightness: Array | float,
    saturation: Array | float | None = None,
    contrast: Array | float | None = None,
    hue: Array | float | None = None,
) -> Array:
    """Adjusts colours, in this order; None skips an adjustment.

    The adjustments are those of tf.image: saturation and hue refer to HSV.

    Args:
        video: [..., H, W, 3] float32 levels, in [0, 255].
        brightness: [] added to every value, as a share of white.
        saturation: [] factor.
        contrast: [] factor on the distance from each frame's mean.
        hue: [] added, in turns.

    Returns:
        Same shape; clipped to [0, 255] only at the end.
    """
    video = video + brightness * WHITE
    if saturation is not None:
        video = _saturated(video, saturation)
    if contrast is not None:
        mean = jnp.mean(video, axis=(-3, -2), keepdims=True)
        video = (video - mean) * contrast + mean
    if hue is not None:
        video = _turned(video, hue)
    return jnp.clip(video, 0.0, WHITE)


def _saturated(video: Array, factor: Array | float) -> Array:
    """Scales the saturation: the channels' spread over their maximum; it is at most 1."""
    high = jnp.max(video, axis=-1, keepdims=True)
    spread = high - jnp.min(video, axis=-1, keepdims=True)
    kept = jnp.minimum(factor, high / jnp.where(spread > 0, spread, 1.0))
    # If even the largest channel is below black, there is no saturation.
    return high - (high - video) * jnp.where(high > 0, kept, 0.0)


def _turned(video: Array, turns: Array | float) -> Array:
    """Turns the hue: moves channels between the smallest and the largest, which are kept."""
    red, green, blue = video[..., 0:1], video[..., 1:2], video[..., 2:3]
    high, low = (f(video, axis=-1, keepdims=True) for f in (jnp.max, jnp.min))
    spread = high - low
    unit = jnp.where(spread > 0, spread, 1.0)
    # Not by equality with the largest: XLA may compute the two separately, with other rounding.
    hue = jnp.where(
        (red >= green) & (red >= blue),
        (green - blue) / unit,
        jnp.where(green >= blue, (blue - red) / unit + 2.0, (red - green) / unit + 4.0),
    )
    away = jnp.abs((hue + 6.0 * turns - jnp.asarray(_CENTRES) + 3.0) % 6.0 - 3.0)
    return low + spread * jnp.clip(2.0 - away, 0.0, 1.0)
