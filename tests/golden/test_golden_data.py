"""Operations of the original's input pipeline, each compared with ours.

Tests state where ours differs on purpose: resized and recoloured frames are rounded to whole
levels (the original truncates), frames are cropped before they are resized, and a crop is never
larger than the frame.
"""

import numpy as np
import tensorflow as tf
from golden.golden_set import FOLDER, SET, close, golden

from vatt_gh.data.frames import crop_box, resize
from vatt_gh.data.sampling import frame_places
from vatt_gh.data.text import Tokenizer, read_vocabulary
from vatt_gh.data.views import three_crops, window_starts, with_shorter_side
from vatt_gh.models.tokenize import patches
from vatt_gh.models.vatt import centred
from vatt_gh.training.colour import WHITE, adjust_colour

TOLERANCE = 1e-5
HUE_TOLERANCE = 1e-4
LEVEL = 1.0  # of 255: the error of truncating to whole levels


def test_golden_data():
    """Frame selection: the indices equal those of our frames."""
    file = golden("data")
    for label, expected in (file.part("out|linspace") | file.part("out|middle")).items():
        count, *windows, length, stride = map(int, label.split("_"))
        starts = window_starts(tf.constant(count), length, *(windows or [1]), stride=stride)
        compare_frames(count, starts, length, stride, expected, label)
    for label, expected in file.part("out|train_indices").items():
        count, length, stride, first = map(int, label.split("_"))
        compare_frames(count, [first], length, stride, expected, label)


def compare_frames(count, starts, length, stride, expected, label):
    frames = tf.range(count)
    found = [
        tf.gather(frames, frame_places(tf.size(frames), first, length, stride=stride))
        for first in starts
    ]
    np.testing.assert_array_equal(np.concatenate(found), expected, err_msg=label)


def resized():
    """{size: golden frames [T, h, w, 3] uint8, the shorter side resized to `size`}."""
    return {int(size): x for size, x in golden("data").part_named(r"out\|resize_smallest_(\d+)")}


def test_golden_data_resized_frames():
    """The original truncates to whole levels; our unrounded levels differ by less than one."""
    images = golden("data")["in|frames_u8"]
    assert resized()
    for size, expected in resized().items():
        shape = with_shorter_side(tf.constant(images.shape[1:3]), size).numpy()
        found = np.empty((len(images), *shape, 3), np.float32)
        for image, out in zip(images.astype(np.float32), found, strict=True):
            resize(image, out)
        assert found.shape == expected.shape
        difference = found - expected
        assert difference.min() > -1e-3 and difference.max() < LEVEL + 1e-3


def test_golden_data_crops():
    file = golden("data")
    [(size, expected)] = file.part_named(r"out\|central_crop_(\d+)_of_resized\d+")
    size = int(size)
    frames = tf.constant(resized()[size])
    top, left, height, width = crop_box(tf.shape(frames)[1:3], "none", 1.0, [0, 0]).numpy()
    crop = frames[:, top : top + height, left : left + width]
    np.testing.assert_array_equal(crop, expected)
    # Three crops of every frame; the original concatenates them in time.
    wide = file[f"out|multi_crop_{size}_of_resized{size}"]
    np.testing.assert_array_equal(three_crops(frames, size).numpy().reshape(wide.shape), wide)
    # The original zero-pads a frame that is smaller than the crop. Ours is enlarged instead, so
    # that no part of a picture is black: only the part without padding can be compared.
    [(larger, padded)] = file.part_named(r"out\|central_crop_pad_(\d+)")
    images = file["in|frames_u8"]
    room = [(int(larger) - n) // 2 for n in images.shape[1:3]]
    assert min(room) > 0
    inside = padded[:, room[0] : room[0] + images.shape[1], room[1] : room[1] + images.shape[2]]
    np.testing.assert_array_equal(inside, images)


def test_golden_data_crops_of_tall_frames():
    [(size, expected)] = golden("data").part_named(r"out\|multi_crop_(\d+)_of_tall")
    tall = np.swapaxes(resized()[int(size)], 1, 2)
    found = three_crops(tf.constant(tall), int(size)).numpy()
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_golden_data_normalised_frames():
    """The original's pipeline scales levels; in ours, the model does."""
    file = golden("data")
    images = file["in|frames_u8"]
    close(images / WHITE, file["out|normalize_01"], TOLERANCE)
    close(centred({"video": images})["video"], file["out|normalize_zero_centered"], TOLERANCE)


def test_golden_data_resized_box():
    """The Inception crop: a box, resized to a square without smoothing."""
    file = golden("data")
    pattern = r"out\|slice_y(\d+)x(\d+)_h(\d+)w(\d+)_resize_(\d+)x(\d+)_float"
    [(box, expected)] = file.part_named(pattern)
    y, x, height, width, *size = map(int, box)
    part = file["in|frames_u8"][:, y : y + height, x : x + width]
    found = np.empty((len(part), *size, 3), np.float32)
    for frame, out in zip(part.astype(np.float32), found, strict=True):
        resize(frame, out)
    close(found / WHITE, expected, TOLERANCE)


def test_golden_data_colours():
    """Each stage with the factors of the previous ones; ours is clipped at the end."""
    file = golden("data")
    brightness, saturation, contrast, hue = file["in|color_factors"]
    video = file["out|normalize_01"] * WHITE
    stations = {
        "1_brightness": (brightness,),
        "2_saturation": (brightness, saturation),
        "3_contrast": (brightness, saturation, contrast),
        "4_hue": (brightness, saturation, contrast, hue),
        "5_clipped": (brightness, saturation, contrast, hue),
    }
    for label, factors in stations.items():
        expected = np.clip(file[f"out|color|{label}"], 0.0, 1.0)
        tolerance = HUE_TOLERANCE if len(factors) == 4 else TOLERANCE
        close(adjust_colour(video, *factors) / WHITE, expected, tolerance, label)
    found = adjust_colour(video, *stations["5_clipped"])
    close(found / WHITE * 2 - 1, file["out|color|6_zero_centered"], 2 * HUE_TOLERANCE)


def test_golden_data_space_to_depth():
    """A layout for the original's transfer to devices. Ours does not need it: cutting patches
    gives the same blocks, in the same order."""
    file = golden("data")
    [(block, expected)] = file.part_named(r"out\|space_to_depth_(\d+)x(\d+)")
    frames = file["in|frames_u8"]
    block = [frames.shape[0] // expected.shape[0], *map(int, block)]
    used = [n * size for n, size in zip(expected.shape, block, strict=False)]
    frames = frames[tuple(slice(n) for n in used)]
    found = np.asarray(patches(frames, block)).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)


def test_golden_vocab():
    """Word ids by the set's vocabulary file."""
    file = golden("data")
    words = read_vocabulary(FOLDER / f"{SET}_vocab.txt")
    assert words == file.config["vocab"]
    [(length, expected)] = file.part_named(r"out\|tokens_(\d+)")
    ids = Tokenizer(words, int(length))(tf.constant(file["in|sentences"].tolist()))
    np.testing.assert_array_equal(ids, expected)
