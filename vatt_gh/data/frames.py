"""Turns frames into a window of pixels: crop, resize, flip; and chooses its colour changes.

All frames of a window are treated alike. Choices are made by tf.data graph functions; OpenCV crops
and resizes frames as bytes; the training step changes colours.
"""

from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh.batch import NEUTRAL_COLOUR
from vatt_gh.data.sampling import COLOUR_STREAM, CROP_STREAM, FLIP_STREAM, stream

# tf.data reads many windows at once; more threads per frame would slow the others down.
cv2.setNumThreads(1)


class View(NamedTuple):
    """The visible part of a window's frames; tensors in a graph, NumPy values outside.

    Attributes:
        crop: [4] int32: top, left, height and width of the kept part; for N windows [N, 4].
        mirrored: [] bool, whether left and right are swapped; for N windows [N].
        size: [2] int32, height and width after resizing.
    """

    crop: tf.Tensor | np.ndarray
    mirrored: tf.Tensor | np.bool_
    size: tf.Tensor | np.ndarray


def choose_view(shape: tf.Tensor, data: ConfigDict, seed: tf.Tensor, *, train: bool) -> View:
    """Chooses the view of a window.

    Args:
        shape: [2] int32, height and width of the frames.
        data: config.data.
        seed: [2], seed of the sample.
        train: apply data.augmentation and data.flip; otherwise the central square.

    Returns:
        The view, as tensors.
    """
    style = data.augmentation if train else "none"
    mirrored = tf.constant(False)
    if style != "none" and data.flip:
        mirrored = tf.random.stateless_uniform([], stream(seed, FLIP_STREAM)) < 0.5
    crop = crop_box(shape, style, data.min_area, stream(seed, CROP_STREAM))
    return View(crop, mirrored, tf.constant([data.size, data.size]))


def put(frame: np.ndarray, view: View, out: np.ndarray) -> None:
    """Crops, resizes and mirrors a frame.

    Args:
        frame: [h, w, 3] uint8.
        view: the frame's view.
        out: [*view.size, 3] uint8, receives the result.
    """
    top, left, height, width = view.crop
    resize(frame[top : top + height, left : left + width], out)
    if view.mirrored:
        cv2.flip(out, 1, dst=out)


def resize(frame: np.ndarray, out: np.ndarray) -> None:
    """Resizes a frame bilinearly, without antialiasing.

    Args:
        frame: [h, w, 3] uint8 or float32.
        out: [H, W, 3] of the same dtype, receives the result; bytes are off by less than one level.
    """
    cv2.resize(frame, out.shape[1::-1], dst=out, interpolation=cv2.INTER_LINEAR)


def draw_colour(data: ConfigDict, seed: tf.Tensor) -> tf.Tensor:
    """Draws a window's colour change, the same for all frames.

    Args:
        data: config.data: colour_jitter (probability); brightness (largest shift, as a share of
            white); saturation and contrast (factor 1 +- this); hue (largest shift, in turns).
        seed: [2], seed of the sample.

    Returns:
        [4] float32, a row of `vatt_gh.batch.COLOUR`.
    """
    draws = tf.random.stateless_uniform([5], stream(seed, COLOUR_STREAM), minval=-1.0, maxval=1.0)
    jitter = (draws[4] + 1.0) / 2.0 < data.colour_jitter
    most = tf.constant([data.brightness, data.saturation, data.contrast, data.hue], tf.float32)
    return tf.constant(NEUTRAL_COLOUR) + tf.where(jitter, draws[:4] * most, tf.zeros([4]))


def crop_box(shape: tf.Tensor, style: str, min_area: float, seed: tf.Tensor) -> tf.Tensor:
    """Chooses the part of the frames to keep.

    Args:
        shape: [2] int32, height and width.
        style: 'none': central square; 'crop': a random square with the short side's length;
            'inception': a random box of random area and shape, aspect ratio 0.5 to 2.
        min_area: smallest share of the frame, for 'inception'.
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
