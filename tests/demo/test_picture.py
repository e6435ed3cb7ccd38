"""Drawn scenes: shapes, colours and motions differ visibly; the background reveals nothing."""

import itertools

import numpy as np
import pytest

from vatt_gh.demo.picture import RGB, draw_scene, outline
from vatt_gh.demo.scenes import COLOURS, MOTIONS, SHAPES, Scene


def _draw(shape="circle", colour="white", motion="slides", seed=0, frames=32, size=(96, 72)):
    scene = Scene(0.0, frames / 10, shape, colour, motion, shape, motion)
    return draw_scene(scene, np.random.default_rng(seed), frames, *size, 10)


def _mask(frames):
    """Pixels of the white shape: [T, H, W] bool."""
    return frames.min(axis=3) > 130


def _track(motion, seed):
    """Area [T], and mean column and row [T] of a white circle in pixels."""
    mask = _mask(_draw(motion=motion, seed=seed)).astype(float)
    area = mask.sum(axis=(1, 2))
    columns = (mask * np.arange(96)[None, None]).sum(axis=(1, 2)) / area
    rows = (mask * np.arange(72)[None, :, None]).sum(axis=(1, 2)) / area
    return area, columns, rows


@pytest.mark.parametrize("size", [(96, 72), (64, 64), (130, 50)])
def test_frames_have_the_form_asked_for_and_follow_the_seed(size):
    frames = _draw(frames=5, size=size)
    assert frames.shape == (5, size[1], size[0], 3)
    assert frames.dtype == np.uint8
    assert np.array_equal(frames, _draw(frames=5, size=size))
    assert not np.array_equal(frames, _draw(frames=5, size=size, seed=1))


def test_shapes_differ_from_each_other_at_equal_place_and_size():
    masks = {shape: _mask(_draw(shape, motion="pulses", frames=1)) for shape in SHAPES}
    for first, second in itertools.combinations(SHAPES, 2):
        union = (masks[first] | masks[second]).sum()
        assert (masks[first] ^ masks[second]).sum() > 0.15 * union


def test_ring_is_open_and_bars_are_three():
    grid = np.linspace(-1.2, 1.2, 241)
    u, v = np.meshgrid(grid, grid)
    ring, bars = outline("ring", u, v) < 0, outline("bars", u, v) < 0
    assert not ring[120, 120]
    assert ring[120, 195]
    assert np.count_nonzero(np.diff(bars[:, 120].astype(int)) == 1) == 3


@pytest.mark.parametrize("seed", range(4))
def test_motions_are_told_apart_within_three_seconds(seed):
    spread = {}
    for motion in MOTIONS:
        area, columns, rows = _track(motion, seed)
        spread[motion] = (np.ptp(columns), np.ptp(rows), area.max() / area.min())
    assert spread["slides"][0] > 40
    assert spread["slides"][1] < 3
    assert spread["bounces"][0] < 3
    assert spread["bounces"][1] > 25
    assert spread["orbits"][0] > 40
    assert spread["orbits"][1] > 25
    assert max(spread["pulses"][:2]) < 4
    assert spread["pulses"][2] > 3
    assert max(spread[motion][2] for motion in MOTIONS if motion != "pulses") < 1.6


def test_colours_are_the_shape_s_and_the_background_is_dim_and_no_cue():
    corners = {}
    for colour in COLOURS:
        frames = [_draw("square", colour, "pulses", seed, 1)[0] for seed in range(12)]
        for frame in frames:
            middle = frame[30:42, 42:54].reshape(-1, 3).astype(float)
            bright = middle[middle.sum(axis=1).argmax()]
            near = min(RGB, key=lambda name: np.linalg.norm(bright - 0.93 * np.array(RGB[name])))
            assert near == colour
        corners[colour] = np.stack([frame[:4, :4].mean(axis=(0, 1)) for frame in frames])
        assert corners[colour].max() < 90
    # The same seeds give the same backgrounds for any colour of the shape.
    assert all(np.array_equal(corners["red"], other) for other in corners.values())


def test_place_and_size_vary():
    tracks = [_track("pulses", seed) for seed in range(12)]
    assert np.ptp([np.mean(columns) for _, columns, _ in tracks]) > 8
    assert np.ptp([np.mean(rows) for _, _, rows in tracks]) > 4
    areas = [area.mean() for area, _, _ in tracks]
    assert max(areas) > 1.4 * min(areas)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="blob"):
        _draw(shape="blob")
    with pytest.raises(ValueError, match="flies"):
        _draw(motion="flies")
