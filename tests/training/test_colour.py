"""Colour changes, compared with tf.image, which the original uses, frame by frame."""

import jax
import numpy as np
import pytest
import tensorflow as tf
from small import small_batch, small_config

from vatt_gh.training.colour import WHITE, adjust_colour, changes_colours, recoloured

adjusted = jax.jit(adjust_colour)


@pytest.fixture(scope="module")
def video():
    """[T, H, W, 3] float32 levels of all kinds: grey, black, white, pure colours."""
    rng = np.random.default_rng(1)
    video = rng.uniform(0, WHITE, (3, 20, 30, 3)).astype(np.float32)
    video[:, :3] = np.round(video[:, :3] / WHITE) * WHITE  # channels that are 0 or full
    video[:, 3:5] = video[:, 3:5, :, :1]  # grey
    video[:, 5:8] *= 0.1  # darker than the subtracted brightness
    return video


def one_by_one(video, brightness, saturation=None, contrast=None, hue=None):
    """Each frame in [0, 1] through tf.image."""
    frames = []
    for frame in video / WHITE:
        x = tf.image.adjust_brightness(frame, brightness)
        x = x if saturation is None else tf.image.adjust_saturation(x, saturation)
        x = x if contrast is None else tf.image.adjust_contrast(x, contrast)
        x = x if hue is None else tf.image.adjust_hue(x, hue)
        frames.append(tf.clip_by_value(x, 0, 1).numpy())
    return np.stack(frames) * WHITE


@pytest.mark.parametrize("brightness", [-0.12, 0.12])
@pytest.mark.parametrize(
    "others",
    [
        (),
        (0.6,),
        (1.4,),
        (None, 0.6),
        (None, 1.4),
        (None, None, -0.2),
        (None, None, 0.2),
        (1.4, 1.4, 0.45),
        (0.6, 1.3, -0.1),
    ],
)
def test_every_step_is_tf_image_s(video, brightness, others):
    expected = one_by_one(video, brightness, *others)
    np.testing.assert_allclose(adjusted(video, brightness, *others), expected, atol=2e-2)
    assert np.abs(expected - video).max() > 10


@pytest.mark.parametrize("zero", ["brightness", "saturation", "contrast", "hue", None])
def test_samples_of_a_batch_get_their_own_colours(zero):
    config = small_config()
    data = config.data
    if zero is not None:
        data[zero] = 0.0
    batch = small_batch(config)
    neutral = np.float32([0, 1, 1, 0])
    colour = batch["colour"].copy()
    colour[3] = neutral
    if zero is not None:
        column = ("brightness", "saturation", "contrast", "hue").index(zero)
        colour[:, column] = neutral[column]
    found = np.asarray(jax.jit(lambda v, c: recoloured(v, c, data))(batch["video"], colour))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[3], batch["video"][3])
    for k in range(8):
        brightness, *others = colour[k]
        names = ("saturation", "contrast", "hue")
        others = [None if name == zero else x for name, x in zip(names, others, strict=True)]
        expected = one_by_one(batch["video"][k].astype(np.float32), brightness, *others)
        np.testing.assert_allclose(found[k], expected, atol=0.5 + 2e-2)


def test_whether_colours_change():
    data = small_config(**{"data.colour_jitter": 0.5}).data
    assert changes_colours(data)
    data.augmentation = "none"
    assert not changes_colours(data)
    data.augmentation, data.colour_jitter = "crop", 0.0
    assert not changes_colours(data)
