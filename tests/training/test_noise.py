"""Noise on sound: its shape, its size, and its independence between samples."""

import jax
import numpy as np
import pytest

from vatt_gh.training.noise import with_noise

KEYS = jax.random.split(jax.random.key(0), 3)


def noise_of(audio, share):
    return np.asarray(jax.jit(with_noise, static_argnums=1)(audio, share, KEYS)) - audio


def test_noise_is_gaussian_and_as_loud_as_its_share_of_the_peak():
    audio = np.zeros((3, 20_000), np.float32)
    audio[:, 7] = -0.8, 0.4, 0.0
    noise = noise_of(audio, 0.05)
    for own, deviation in zip(noise, (0.04, 0.02), strict=False):
        assert own.std() == pytest.approx(deviation, rel=0.03)
        assert abs(own.mean()) < 0.001
        assert np.mean(np.abs(own) < deviation) == pytest.approx(0.683, abs=0.02)
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 0.03, "each has a draw of its own"
    np.testing.assert_array_equal(noise[2], 0.0)  # silence stays silence


def test_noise_is_of_the_samples_key_wherever_it_stands():
    audio = np.ones((3, 50), np.float32)
    turned = with_noise(audio, 0.1, KEYS[::-1])
    np.testing.assert_array_equal(turned, with_noise(audio, 0.1, KEYS)[::-1])
