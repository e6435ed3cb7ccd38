"""Sounds: a log spectrum distinguishes shapes and motions; loudness reveals nothing."""

import numpy as np
import pytest

from vatt_gh.demo.scenes import MOTIONS, SHAPES
from vatt_gh.demo.sound import synthesise


def _spectrum(shape, motion, seed, rate):
    """Mean log spectrum of 1.6 s in bands up to 8 kHz, without its loudness."""
    rng = np.random.default_rng([seed, SHAPES.index(shape), MOTIONS.index(motion)])
    sound = synthesise(shape, motion, rng, int(1.6 * rate), rate)
    length = int(0.064 * rate)
    frames = np.lib.stride_tricks.sliding_window_view(sound, length)[:: length // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(length))) ** 2 / length
    edges = np.unique(np.geomspace(4, 512, 48).astype(int))
    mean = np.log(np.add.reduceat(power[:, :513], edges, axis=1) + 1e-6).mean(axis=0)
    return mean - mean.mean()


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_nearest_centroid_tells_shapes_and_motions_apart(rate):
    names = [(shape, motion) for shape in SHAPES for motion in MOTIONS]
    sounds = np.array([[_spectrum(*name, k, rate) for k in range(8)] for name in names])
    labels = {"shape": [n[0] for n in names], "motion": [n[1] for n in names], "both": names}
    shares = {}
    for what, values in labels.items():
        index = np.array([sorted(set(values)).index(value) for value in values])
        known, asked = sounds[:, :4], sounds[:, 4:]
        centroids = np.stack([known[index == k].mean(axis=(0, 1)) for k in range(index.max() + 1)])
        distance = ((asked[:, :, None] - centroids) ** 2).sum(axis=-1)
        shares[what] = np.mean(distance.argmin(axis=2) == index[:, None])
    assert shares["shape"] > 0.6  # chance 1/8, over all four pitches
    assert shares["motion"] > 0.8  # chance 1/4
    assert shares["both"] > 0.9  # chance 1/32


def test_rhythm_differs_by_motion():
    def swing(motion):
        sound = synthesise("cross", motion, np.random.default_rng(0), 48_000, 16_000)
        loudness = np.sqrt(np.mean(sound.reshape(-1, 400) ** 2, axis=1))
        return np.percentile(loudness, 90) / np.percentile(loudness, 10)

    assert swing("slides") < 1.5
    assert swing("orbits") < 1.5
    assert swing("bounces") > 4
    assert swing("pulses") > 4


def test_loudness_is_random_and_noise_is_mild():
    loudness = {
        shape: [np.std(synthesise(shape, "slides", _rng(k), 16_000, 16_000)) for k in range(20)]
        for shape in SHAPES
    }
    for values in loudness.values():
        assert max(values) > 1.3 * min(values)
        assert min(values) > 0.03
        assert max(values) < 0.5


def test_sound_is_in_range_and_follows_the_seed():
    for shape in SHAPES:
        for motion in MOTIONS:
            sound = synthesise(shape, motion, _rng(1), 8_000, 16_000)
            assert sound.shape == (8_000,)
            assert np.abs(sound).max() <= 1.0
            assert np.array_equal(sound, synthesise(shape, motion, _rng(1), 8_000, 16_000))
            assert not np.array_equal(sound, synthesise(shape, motion, _rng(2), 8_000, 16_000))


def test_unknown_names_are_refused():
    with pytest.raises(KeyError, match="blob"):
        synthesise("blob", "slides", _rng(0), 100, 16_000)
    with pytest.raises(KeyError, match="flies"):
        synthesise("circle", "flies", _rng(0), 100, 16_000)


def _rng(seed):
    return np.random.default_rng(seed)
