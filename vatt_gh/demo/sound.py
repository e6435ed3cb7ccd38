"""Synthesises the sound of a scene: timbre by shape; pitch and rhythm by motion."""

import numpy as np

# Strength of the harmonics 1, 2, 3, ... of each shape's voice.
_HARMONICS = {
    "circle": (1.0,),
    "square": (1.0, 0.0, 0.6, 0.0, 0.5, 0.0, 0.4),
    "triangle": (0.2, 1.0, 0.1, 0.7),
    "star": (0.3, 0.3, 0.5, 0.7, 0.9, 1.0, 0.9),
    "ring": (1.0, 0.0, 0.0, 0.0, 0.0, 0.9),
    "cross": (1.0, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35),
    "diamond": (0.1, 0.0, 1.0, 0.0, 0.0, 0.8),
    "bars": (0.5,),
}
_BREATH = {"bars": 0.8, "star": 0.15}  # breath noise in the voice
_PITCH = {"slides": 240.0, "bounces": 330.0, "orbits": 450.0, "pulses": 600.0}  # Hz


def synthesise(
    shape: str, motion: str, rng: np.random.Generator, samples: int, rate: int
) -> np.ndarray:
    """Synthesises the sound of a scene.

    Args:
        shape: gives the timbre.
        motion: gives pitch and rhythm.
        rng: the video's random generator.
        samples: number of samples.
        rate: samples a second.

    Returns:
        [samples] float64 in [-1, 1].

    Raises:
        KeyError: the shape or motion is unknown.
    """
    time = np.arange(samples) / rate
    pitch = _PITCH[motion] * rng.uniform(0.95, 1.05) * _bend(motion, time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = np.zeros(samples)
    for number, strength in enumerate(_HARMONICS[shape], start=1):
        if strength and number * pitch.max() < rate / 2:
            voice += strength * np.sin(number * phase + rng.uniform(0, 2 * np.pi))
    voice /= max(np.sqrt(np.mean(voice**2)), 1e-9)
    voice += _BREATH.get(shape, 0.0) * 2 * rng.normal(size=samples)
    voice *= _rhythm(motion, time)
    voice = 0.12 * voice * rng.uniform(0.6, 1.2) + 0.004 * rng.normal(size=samples)
    return np.clip(voice, -1.0, 1.0)


def _bend(motion: str, time: np.ndarray) -> np.ndarray:
    """Returns the factor on the pitch."""
    if motion == "slides":
        return 1.0 + 0.35 * np.sin(2 * np.pi * 0.4 * time)
    if motion == "orbits":
        return 1.0 + 0.12 * np.sin(2 * np.pi * 3.0 * time)
    return np.ones_like(time)


def _rhythm(motion: str, time: np.ndarray) -> np.ndarray:
    """Returns the loudness in [0, 1]."""
    if motion == "bounces":
        return np.exp(-5.0 * np.mod(time, 0.5))
    if motion == "pulses":
        return 0.5 - 0.5 * np.sign(np.sin(2 * np.pi * 4.0 * time)) * 0.95
    return np.ones_like(time)
