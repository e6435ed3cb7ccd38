"""From JPEG frames to a window: crop, resize, flip, colour, against whole frames step by step."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small import small_config

from vatt_gh.data.sampling import COLOUR, CROP, stream
from vatt_gh.data.storage import window_reader
from vatt_gh.data.unreadable import Unreadable
from vatt_gh.data.video import WHITE, choose_view, crop_box, jitter_colour, recoloured
from vatt_gh.media.form import Form

T, SIZE = 3, 16
LEVEL = 0.8  # what whole levels and OpenCV's fixed-point numbers take away


def seed_of(k):
    return tf.constant([4, k], tf.int64)


@pytest.fixture
def data():
    data = small_config().data
    data.frames, data.size = T, SIZE
    data.flip, data.colour_jitter = False, 0.0
    return data


@pytest.fixture(scope="module")
def frames():
    """JPEG frames of 37 by 50 pixels, each of its own content."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(T):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8))
        file = io.BytesIO()
        # Whole colours: of halved ones a box lacks the neighbours beyond its border.
        large = small.resize((50, 37), Image.Resampling.BICUBIC)
        large.save(file, "JPEG", quality=95, subsampling=0)
        frames.append(file.getvalue())
    return frames


def obvious_window(frames, box):
    """Decodes whole frames, cuts the box out and resizes each alone; levels with fractions."""
    top, left, height, width = (int(x) for x in box)
    whole = [tf.io.decode_jpeg(frame, 3, dct_method="INTEGER_ACCURATE") for frame in frames]
    cut = [tf.cast(x[top : top + height, left : left + width], tf.float32) for x in whole]
    return np.stack([tf.image.resize(x, [SIZE, SIZE]) for x in cut])


def decode(frames, data, k, train=True):
    example = {
        "frames": tf.constant(frames),
        "height": tf.constant(37),
        "has_audio": tf.constant(False),
    }
    view = choose_view(tf.constant([37, 50]), data, seed_of(k), train=train)
    read = window_reader(Form(), Path(), Unreadable())
    pictures, *_ = read(example, tf.range(T), tf.range(0), view)
    return recoloured(pictures, data, seed_of(k), train=train).numpy()


@pytest.mark.parametrize("shape", [(37, 50), (50, 37), (32, 32), (31, 44)])
def test_the_central_square(shape):
    height, width = shape
    side = min(shape)
    box = crop_box(tf.constant(shape), "none", 0.1, seed_of(0)).numpy()
    assert box.tolist() == [(height - side) // 2, (width - side) // 2, side, side]


def test_random_squares_are_inside_and_reach_everywhere():
    boxes = [crop_box(tf.constant([8, 12]), "crop", 0.1, seed_of(k)).numpy() for k in range(100)]
    assert {tuple(box) for box in boxes} == {(0, left, 8, 8) for left in range(5)}


def test_inception_boxes_are_inside_and_of_the_area_and_shape_asked_for():
    height, width = 80, 120
    boxes = np.array(
        [
            crop_box(tf.constant([height, width]), "inception", 0.2, seed_of(k)).numpy()
            for k in range(100)
        ]
    )
    top, left, tall, wide = boxes.T
    assert min(top.min(), left.min()) >= 0
    assert np.all(top + tall <= height) and np.all(left + wide <= width)
    area = tall * wide / (height * width)
    assert area.min() >= 0.19 and area.min() < 0.3 and area.max() > 0.8
    aspect = wide / tall
    assert aspect.min() >= 0.48 and aspect.min() < 0.7
    assert aspect.max() <= 2.05 and aspect.max() > 1.5


@pytest.mark.parametrize("style", ["none", "crop", "inception"])
def test_a_window_is_cut_from_whole_frames(frames, data, style):
    data.augmentation = style
    for k in range(3):
        box = crop_box(tf.constant([37, 50]), style, data.min_area, stream(seed_of(k), CROP))
        expected = obvious_window(frames, box)
        np.testing.assert_allclose(decode(frames, data, k), expected, atol=LEVEL)
    central = crop_box(tf.constant([37, 50]), "none", data.min_area, seed_of(0))
    plain = decode(frames, data, 5, train=False)  # whatever the style
    np.testing.assert_allclose(plain, obvious_window(frames, central), atol=LEVEL)
    assert plain.shape == (T, SIZE, SIZE, 3) and plain.dtype == np.uint8


def test_half_of_the_windows_are_mirrored_as_a_whole(frames, data):
    data.augmentation = "crop"
    mirrored = []
    for k in range(40):
        data.flip = False
        straight = decode(frames, data, k)
        data.flip = True
        seen = decode(frames, data, k)
        mirrored.append(np.array_equal(seen, straight[:, :, ::-1]))
        assert mirrored[-1] or np.array_equal(seen, straight)
    assert 10 <= sum(mirrored) <= 30
    assert np.array_equal(
        decode(frames, data, 0, train=False), decode(frames, data, 1, train=False)
    )


def jittered(video, data, seed):
    """Of a video in [0, 1]."""
    return jitter_colour(tf.constant(video) * WHITE, data, seed).numpy() / WHITE


@pytest.fixture
def video():
    return np.random.default_rng(1).uniform(0, 1, (T, 5, 6, 3)).astype(np.float32)


def test_colour_jitter_is_tf_image_s_steps_frame_by_frame(data, video):
    data.colour_jitter = 1.0
    data.brightness, data.saturation, data.contrast, data.hue = 0.2, 0.4, 0.3, 0.1
    for k in range(5):
        draws = tf.random.stateless_uniform([5], seed_of(k), minval=-1.0, maxval=1.0).numpy()
        expected = []
        for frame in video:
            x = tf.image.adjust_brightness(frame, draws[0] * 0.2)
            x = tf.image.adjust_saturation(x, 1 + draws[1] * 0.4)
            x = tf.image.adjust_contrast(x, 1 + draws[2] * 0.3)
            x = tf.image.adjust_hue(x, draws[3] * 0.1)
            expected.append(tf.clip_by_value(x, 0, 1).numpy())
        seen = jittered(video, data, seed_of(k))
        np.testing.assert_allclose(seen, np.stack(expected), atol=1e-5)
        assert not np.allclose(seen, video, atol=1e-2)


@pytest.mark.parametrize("setting", ["brightness", "saturation", "contrast", "hue"])
def test_each_colour_setting_works_alone_and_is_off_at_zero(data, video, setting):
    data.colour_jitter = 1.0
    for name in ("brightness", "saturation", "contrast", "hue"):
        data[name] = 0.0
    np.testing.assert_allclose(jittered(video, data, seed_of(0)), video, atol=1e-6)
    data[setting] = 0.3
    assert not np.allclose(jittered(video, data, seed_of(0)), video, atol=1e-3)


def test_share_of_windows_with_other_colours(data, video):
    data.colour_jitter = 0.3
    levels = tf.constant(video) * WHITE
    changed = [
        not np.array_equal(jitter_colour(levels, data, seed_of(k)), levels) for k in range(200)
    ]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.1)


def test_a_window_with_everything_is_the_steps_one_after_the_other(frames, data):
    data.augmentation = "inception"
    for k in range(4):
        data.flip, data.colour_jitter = False, 0.0
        plain = decode(frames, data, k) / np.float32(WHITE)
        data.flip, data.colour_jitter = True, 1.0
        either = [jittered(x, data, stream(seed_of(k), COLOUR)) for x in (plain, plain[:, :, ::-1])]
        seen = decode(frames, data, k)
        assert min(np.abs(seen - x * WHITE).max() for x in either) < LEVEL
