"""From JPEG frames to a window: crop, resize and flip, compared with whole frames."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small import small_config

from vatt_gh.data.frames import View, choose_view, crop_box, draw_colour
from vatt_gh.data.sampling import CROP_STREAM, stream
from vatt_gh.data.stored_windows import windows_reader
from vatt_gh.data.unreadable import Unreadable
from vatt_gh.media.form import Form

T, SIZE = 3, 16
LEVEL = 0.8  # error of whole levels and OpenCV's fixed-point numbers


def seed_of(k):
    return tf.constant([4, k], tf.int64)


@pytest.fixture
def data():
    data = small_config().data
    data.frames, data.size = T, SIZE
    data.flip = False
    return data


@pytest.fixture(scope="module")
def frames():
    """JPEG frames of 37 by 50 pixels, each with its own content."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(T):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8))
        file = io.BytesIO()
        # Full-resolution colours: halved ones lack the neighbours beyond a box's border.
        large = small.resize((50, 37), Image.Resampling.BICUBIC)
        large.save(file, "JPEG", quality=95, subsampling=0)
        frames.append(file.getvalue())
    return frames


def obvious_window(frames, box):
    """Decodes whole frames, crops the box and resizes each separately; unrounded levels."""
    top, left, height, width = (int(x) for x in box)
    whole = [tf.io.decode_jpeg(frame, 3, dct_method="INTEGER_ACCURATE") for frame in frames]
    cut = [tf.cast(x[top : top + height, left : left + width], tf.float32) for x in whole]
    return np.stack([tf.image.resize(x, [SIZE, SIZE]) for x in cut])


def decode(frames, data, k, train=True):
    stored = tf.train.Feature(bytes_list=tf.train.BytesList(value=frames))
    record = tf.train.Example(features=tf.train.Features(feature={"frames": stored}))
    example = {"record": tf.constant(0), "has_audio": tf.constant(False)}
    crop, mirrored, size = choose_view(tf.constant([37, 50]), data, seed_of(k), train=train)
    read = windows_reader(Form(), lambda number: record.SerializeToString(), Path(), Unreadable())
    view = View(crop[None], mirrored[None], size)
    pictures, *_ = read(example, tf.range(T)[None], tf.range(0)[None], view)
    return pictures[0].numpy()


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
        box = crop_box(tf.constant([37, 50]), style, data.min_area, stream(seed_of(k), CROP_STREAM))
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


def colours_of(data, count=200):
    """Draws of `count` samples, [count, 4]."""
    return np.stack([draw_colour(data, seed_of(k)).numpy() for k in range(count)])


def test_colours_are_drawn_up_to_what_is_configured(data):
    data.colour_jitter = 1.0
    data.brightness, data.saturation, data.contrast, data.hue = 0.1, 0.4, 0.3, 0.2
    most = np.array([0.1, 0.4, 0.3, 0.2])
    away = (colours_of(data) - [0, 1, 1, 0]) / most
    assert np.all(np.abs(away) <= 1.0)
    for column in away.T:
        assert column.min() < -0.9 and column.max() > 0.9
        assert np.mean(column) == pytest.approx(0.0, abs=0.15)
    assert np.abs(np.corrcoef(away.T) - np.eye(4)).max() < 0.25, "each has a draw of its own"


def test_what_is_configured_as_zero_stays_neutral(data):
    data.colour_jitter = 1.0
    data.saturation = data.hue = 0.0
    drawn = colours_of(data, 5)
    np.testing.assert_array_equal(drawn[:, [1, 3]], [[1.0, 0.0]] * 5)
    assert np.all(drawn[:, [0, 2]] != [0.0, 1.0])


def test_share_of_windows_with_other_colours(data):
    data.colour_jitter = 0.3
    changed = np.any(colours_of(data) != np.float32([0, 1, 1, 0]), axis=1)
    assert np.mean(changed) == pytest.approx(0.3, abs=0.1)
