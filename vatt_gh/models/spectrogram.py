"""Log-mel spectrogram in JAX, in the form of the original's input pipeline."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def mel_magnitude(
    audio: Array,
    *,
    rate: int,
    frame: int,
    hop: int,
    mel_bins: int,
    low_hz: float,
    high_hz: float,
) -> Array:
    """Computes the magnitude spectrogram in mel bins.

    Args:
        audio: [S] float32 in [-1, 1].
        rate: samples a second.
        frame: samples of an STFT frame (Hann window); the FFT size is the next power of two.
        hop: samples between frames; the end is padded with zeros to give ceil(S / hop) frames.
        mel_bins: number of HTK mel bins from low_hz to high_hz.
        low_hz: lower edge of the first bin.
        high_hz: upper edge of the last bin.

    Returns:
        [ceil(S / hop), mel_bins] float32.
    """
    count = -(-audio.shape[0] // hop)
    length = (count - 1) * hop + frame
    audio = jnp.pad(audio, (0, max(0, length - audio.shape[0])))
    starts = np.arange(count)[:, None] * hop + np.arange(frame)[None, :]
    # TensorFlow's Hann window is periodic for even lengths, symmetric for odd ones.
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / (frame - frame % 2))
    framed = audio[jnp.asarray(starts, jnp.int32)] * jnp.asarray(window, jnp.float32)
    bins = 1 << (frame - 1).bit_length()
    magnitude = jnp.abs(jnp.fft.rfft(framed, n=bins, axis=-1))
    return magnitude @ jnp.asarray(mel_matrix(bins // 2 + 1, mel_bins, rate, low_hz, high_hz))


def normalise(x: Array) -> Array:
    """Scales one clip's spectrogram [frames, mel_bins] to [0, 1]; a constant one becomes zeros."""
    low, high = jnp.min(x), jnp.max(x)
    width = jnp.where(high > low, high - low, 1.0)
    return (x - low) / width


@functools.cache
def mel_matrix(bins: int, mel_bins: int, rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Makes triangular HTK mel filters; the DC bin has no weight.

    Args:
        bins: number of linear frequency bins, from 0 to rate / 2.
        mel_bins: number of filters.
        rate: samples a second.
        low_hz: lower edge of the first filter.
        high_hz: upper edge of the last filter.

    Returns:
        [bins, mel_bins] float32.
    """

    def to_mel(hz: np.ndarray) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0)

    frequencies = to_mel(np.linspace(0.0, rate / 2, bins)[1:])[:, None]
    edges = np.linspace(to_mel(low_hz), to_mel(high_hz), mel_bins + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies - lower) / (centre - lower)
    falling = (upper - frequencies) / (upper - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    return np.concatenate([np.zeros((1, mel_bins)), filters]).astype(np.float32)
