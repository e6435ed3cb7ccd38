"""Noise on sound, and the check of a batch's arrays."""

import numpy as np
import pytest
import tensorflow as tf
from small import small_batch, small_config

from vatt_gh import batch as names
from vatt_gh.data.audio import add_noise


def noise_of(audio, share, k=0):
    return add_noise(tf.constant(audio, tf.float32), share, tf.constant([1, k], tf.int64)) - audio


def test_noise_is_gaussian_and_as_loud_as_its_share_of_the_peak():
    audio = np.zeros(20_000, np.float32)
    audio[7] = -0.8
    noise = noise_of(audio, 0.05).numpy()
    assert noise.std() == pytest.approx(0.04, rel=0.03)
    assert abs(noise.mean()) < 0.001
    assert np.mean(np.abs(noise) < 0.04) == pytest.approx(0.683, abs=0.02)
    np.testing.assert_array_equal(noise, noise_of(audio, 0.05))
    assert not np.array_equal(noise, noise_of(audio, 0.05, k=1))


def test_silence_stays_silence():
    np.testing.assert_array_equal(noise_of(np.zeros(100, np.float32), 0.5), np.zeros(100))


@pytest.fixture
def arrays():
    return small_batch(small_config())


def test_a_good_batch_passes_with_more_in_it(arrays):
    names.check({**arrays, names.VIDEO_ID: np.array([b"x"] * 8)})
    assert names.check({name: x[:3] for name, x in arrays.items()}) is None


@pytest.mark.parametrize("name", names.DEVICE_KEYS)
def test_whatever_is_wrong_is_named(arrays, name):
    good = arrays[name]
    for bad, word in (
        (good.astype(np.float16), "float16"),
        (good[None], f"of rank {good.ndim}"),
        (None, "lacks"),
    ):
        batch = {**arrays, name: bad} if bad is not None else dict(arrays)
        if bad is None:
            del batch[name]
        with pytest.raises(ValueError, match=f"{name}.*") as caught:
            names.check(batch)
        assert word in str(caught.value)
    if name != names.VIDEO:
        with pytest.raises(ValueError, match=rf"batch\['{name}'\] holds 7 samples"):
            names.check({**arrays, name: good[:7]})
