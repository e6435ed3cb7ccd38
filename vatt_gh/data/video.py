"""From frames to a window of pixels: crop, resize, flip, colour. tf.data graph functions.

All frames of a window are cropped, flipped and coloured alike.
"""

import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh.data.sampling import COLOUR, CROP, FLIP, stream

WHITE = 255.0


def choose_crop(shape: tf.Tensor, data: ConfigDict, seed: tf.Tensor, *, train: bool) -> tf.Tensor:
    """The part of a window's frames that is kept.

    Args:
        shape: [2] int32, height and width.
        data: config.data.
        seed: [2], of the sample.
        train: as data.augmentation says; otherwise the central square.

    Returns:
        [4] int32: top, left, height, width.
    """
    style = data.augmentation if train else "none"
    return crop_box(shape, style, data.min_area, stream(seed, CROP))


def to_video(pictures: tf.Tensor, data: ConfigDict, seed: tf.Tensor, *, train: bool) -> tf.Tensor:
    """Resizes and augments a window.

    Args:
        pictures: [T, h, w, 3] uint8, cropped.
        data: config.data.
        seed: [2], of the sample.
        train: whether to flip and to change colours, as data.augmentation says.

    Returns:
        [T, size, size, 3] float32 in [-1, 1].
    """
    augment = train and data.augmentation != "none"
    if augment and data.flip:  # bytes: a quarter of what is resized
        coin = tf.random.stateless_uniform([], stream(seed, FLIP))
        pictures = tf.cond(coin < 0.5, lambda: tf.reverse(pictures, [2]), lambda: pictures)
    video = resize(pictures, [data.size, data.size])
    if augment and data.colour_jitter:
        video = jitter_colour(video, data, stream(seed, COLOUR))
    video.set_shape([data.frames, data.size, data.size, 3])
    return centred(video)


def centred(video: tf.Tensor) -> tf.Tensor:
    """From levels in [0, 255] to [-1, 1]; float32 both."""
    return video * (2.0 / WHITE) - 1.0


def resize(images: tf.Tensor, size: list[int]) -> tf.Tensor:
    """Resizes frames bilinearly, without smoothing before it.

    Args:
        images: [T, H, W, 3] uint8.
        size: height and width wanted.

    Returns:
        [T, *size, 3] float32 in [0, 255]; nothing is rounded to whole levels on the way.
    """
    return tf.cast(tf.image.resize(images, size), tf.float32)


def crop_box(shape: tf.Tensor, style: str, min_area: float, seed: tf.Tensor) -> tf.Tensor:
    """The part of the frames that is kept.

    Args:
        shape: [2] int32, height and width.
        style: 'none': central square; 'crop': a random square as large as the short side;
            'inception': a random box of random area and shape, aspect ratio 0.5 to 2.
        min_area: inception: smallest share of the frame.
        seed: [2].

    Returns:
        [4] int32: top, left, height, width.
    """
    if style == "inception":
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.concat([shape, [3]], 0),
            tf.zeros([1, 0, 4]),
            seed,
            min_object_covered=0.1,
            aspect_ratio_range=(0.5, 2.0),
            area_range=(min_area, 1.0),
            max_attempts=100,
            use_image_if_no_bounding_boxes=True,
        )
        return tf.concat([begin[:2], size[:2]], 0)
    side = tf.reduce_min(shape)
    room = shape - side
    if style == "none":
        corner = room // 2
    else:
        place = tf.random.stateless_uniform([2], seed)
        corner = tf.cast(place * tf.cast(room + 1, tf.float32), tf.int32)
    return tf.concat([corner, [side, side]], 0)


def jitter_colour(video: tf.Tensor, data: ConfigDict, seed: tf.Tensor) -> tf.Tensor:
    """Brightness, saturation, contrast and hue, one draw for all frames.

    Args:
        video: [T, H, W, 3] float32 in [0, 255].
        data: config.data: colour_jitter (probability), brightness (added, at most, as a share of
            white), saturation and contrast (factor 1 +- this), hue (turns, at most).
        seed: [2].

    Returns:
        Same shape, in [0, 255].
    """
    draws = tf.random.stateless_uniform([5], seed, minval=-1.0, maxval=1.0)

    def jitter() -> tf.Tensor:
        return adjust_colour(
            video,
            draws[0] * data.brightness,
            1.0 + draws[1] * data.saturation if data.saturation else None,
            1.0 + draws[2] * data.contrast if data.contrast else None,
            draws[3] * data.hue if data.hue else None,
        )

    return tf.cond((draws[4] + 1.0) / 2.0 < data.colour_jitter, jitter, lambda: video)


def adjust_colour(
    video: tf.Tensor,
    brightness: tf.Tensor,
    saturation: tf.Tensor | None = None,
    contrast: tf.Tensor | None = None,
    hue: tf.Tensor | None = None,
) -> tf.Tensor:
    """Changes colours, in this order; what is None is left as it is.

    Args:
        video: [T, H, W, 3] float32 in [0, 255].
        brightness: [] added to every value, as a share of white.
        saturation: [] factor.
        contrast: [] factor on the distance from each frame's mean.
        hue: [] added, in turns.

    Returns:
        Same shape; cut to [0, 255] at the end, not in between.
    """
    # All of these but this one are the same for any white: no other pass scales the window.
    video = video + brightness * WHITE
    if saturation is not None:
        video = tf.image.adjust_saturation(video, saturation)
    if contrast is not None:
        video = tf.image.adjust_contrast(video, contrast)
    if hue is not None:
        video = tf.image.adjust_hue(video, hue)
    # In one pass over the window; tf.clip_by_value makes two.
    return tf.raw_ops.ClipByValue(t=video, clip_value_min=0.0, clip_value_max=WHITE)
