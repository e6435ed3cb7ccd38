"""The content of a rendered video: scenes, their sounds, and what is planted wrong."""

import dataclasses
import itertools
import math
import string

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "diamond", "bars")
COLOURS = ("red", "green", "blue", "yellow", "purple", "white")
MOTIONS = ("slides", "bounces", "orbits", "pulses")

_ID_LETTERS = string.ascii_letters + string.digits + "-_"


@dataclasses.dataclass(frozen=True)
class Scene:
    """A stretch of a video with one moving shape.

    Attributes:
        start, end: seconds in the video.
        shape, colour, motion: attributes that are seen.
        sound_shape, sound_motion: attributes that are heard.
    """

    start: float
    end: float
    shape: str
    colour: str
    motion: str
    sound_shape: str
    sound_motion: str

    @property
    def sound_aligned(self) -> bool:
        """Whether the sound belongs to the picture."""
        return (self.shape, self.motion) == (self.sound_shape, self.sound_motion)


def video_generator(seed: int, index: int) -> np.random.Generator:
    """Makes the random generator of one video, the same in every process.

    Args:
        seed: seed of the corpus.
        index: index of the video in the corpus.

    Returns:
        The generator.
    """
    return np.random.default_rng([seed, index])


def draw_id(rng: np.random.Generator) -> str:
    """Draws the id of a video.

    Args:
        rng: the video's random generator.

    Returns:
        11 characters, like YouTube's ids.
    """
    return "".join(rng.choice(list(_ID_LETTERS), 11))


def draw_attributes(rng: np.random.Generator, not_shape: str = "") -> tuple[str, str, str]:
    """Draws the attributes of a scene.

    Args:
        rng: the video's random generator.
        not_shape: a shape to exclude; "" allows all.

    Returns:
        Shape, colour and motion.
    """
    shapes = [shape for shape in SHAPES if shape != not_shape]
    return str(rng.choice(shapes)), str(rng.choice(COLOURS)), str(rng.choice(MOTIONS))


def draw_scenes(
    rng: np.random.Generator, seconds: float, sound_noise: float, shortest: float, longest: float
) -> list[Scene]:
    """Draws scenes that fill a video; neighbours have different shapes.

    Args:
        rng: the video's random generator.
        seconds: length of the video; up to `longest` it is one scene.
        sound_noise: probability that a scene has the sound of another scene.
        shortest, longest: limits on a scene, in seconds.

    Returns:
        The scenes in order.
    """
    scenes: list[Scene] = []
    for start, end in itertools.pairwise(_draw_cuts(rng, seconds, shortest, longest)):
        before = scenes[-1].shape if scenes else ""
        shape, colour, motion = draw_attributes(rng, not_shape=before)
        sound_shape, sound_motion = shape, motion
        if rng.uniform() < sound_noise:
            sound_shape, _, sound_motion = draw_attributes(rng, not_shape=shape)
        scenes.append(
            Scene(float(start), float(end), shape, colour, motion, sound_shape, sound_motion)
        )
    return scenes


def _draw_cuts(
    rng: np.random.Generator, seconds: float, shortest: float, longest: float
) -> np.ndarray:
    """Draws the scene boundaries: [scenes + 1] float64 seconds."""
    mean = (shortest + longest) / 2
    count = max(1, round(seconds / mean), math.ceil(round(seconds / longest, 6)))
    while True:
        cuts = np.cumsum(rng.uniform(0.8, 1.2, count))
        cuts = np.round(np.concatenate([[0.0], cuts / cuts[-1] * seconds]), 2)
        # Nearly every draw fits, so that redrawing costs nothing.
        lengths = np.diff(cuts).round(2)
        if count == 1 or (lengths.min() >= shortest and lengths.max() <= longest):
            return cuts
