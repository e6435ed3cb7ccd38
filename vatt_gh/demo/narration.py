"""Narrates scenes in varied English, with the timing of speech recognition."""

import dataclasses
import functools
import itertools
import re

import numpy as np

from vatt_gh.demo.scenes import Scene, draw_attributes

# All words for each attribute; none means another attribute.
PHRASES = {
    "circle": ("circle", "disc", "dot"),
    "square": ("square", "box", "block"),
    "triangle": ("triangle", "wedge", "pyramid"),
    "star": ("star", "flower", "starfish"),
    "ring": ("ring", "hoop", "donut"),
    "cross": ("cross", "plus sign", "plus"),
    "diamond": ("diamond", "gem", "kite"),
    "bars": ("set of bars", "row of stripes", "stack of lines"),
    "red": ("red", "crimson"),
    "green": ("green", "emerald"),
    "blue": ("blue", "azure"),
    "yellow": ("yellow", "golden"),
    "purple": ("purple", "violet"),
    "white": ("white", "pale"),
    "slides": ("sliding from side to side", "going left and right", "slipping across"),
    "bounces": ("bouncing", "jumping up and down", "hopping"),
    "orbits": ("orbiting", "going round and round", "circling around"),
    "pulses": ("pulsing", "growing and shrinking", "beating like a heart"),
}
_TEMPLATES = (
    "here you can see a {colour} {shape} {motion}",
    "there is the {colour} {shape} and it is {motion}",
    "look at this {shape} it is {colour} and {motion}",
    "now the {colour} {shape} is {motion}",
    "we have a {shape} in {colour} that keeps {motion}",
    "what we want is a {colour} {shape}",
    "and this {shape} just keeps {motion}",
    "that nice {colour} {shape} again",
)
_FILLERS = ("um", "so", "you know", "okay", "alright", "and then", "like", "uh")


@functools.cache
def attributes_said(text: str) -> frozenset[str]:
    """Names the attributes of a scene that a caption mentions.

    Args:
        text: a caption from `phrase`.

    Returns:
        Shapes, colours and motions.
    """
    return frozenset(
        name
        for name, ways in PHRASES.items()
        if any(re.search(rf"\b{way}\b", text) for way in ways)
    )


@dataclasses.dataclass(frozen=True)
class Line:
    """A caption.

    Attributes:
        text: the spoken words.
        start, end: seconds in the video.
        scene: number of the scene on screen.
        shape, colour, motion: attributes of the scene that the line describes.
        aligned: whether that is the scene on screen.
    """

    text: str
    start: float
    end: float
    scene: int
    shape: str
    colour: str
    motion: str
    aligned: bool


def narrate(rng: np.random.Generator, scenes: list[Scene], caption_noise: float) -> list[Line]:
    """Narrates all scenes of a video, one to three lines each.

    Args:
        rng: the video's random generator.
        scenes: the scenes in order.
        caption_noise: probability that a line describes something else.

    Returns:
        Lines in order of their start; neighbours may overlap or leave gaps.
    """
    lines = []
    for number, scene in enumerate(scenes):
        count = int(rng.integers(1, 4))
        edges = np.linspace(scene.start, scene.end, count + 1)
        for low, high in itertools.pairwise(edges):
            said = (scene.shape, scene.colour, scene.motion)
            if rng.uniform() < caption_noise:
                said = draw_attributes(rng, not_shape=scene.shape)
            aligned = said[0] == scene.shape
            start = np.clip(low + rng.uniform(-0.4, 0.5), 0.0, scenes[-1].end - 0.6)
            end = max(start + 0.6, min(high + rng.uniform(-0.5, 0.4), scenes[-1].end))
            start, end = round(start, 2), round(end, 2)
            lines.append(Line(phrase(rng, *said), start, end, number, *said, aligned))
    return sorted(lines, key=lambda line: (line.start, line.end))


def phrase(rng: np.random.Generator, shape: str, colour: str, motion: str) -> str:
    """Makes a sentence.

    Args:
        rng: the video's random generator.
        shape, colour, motion: attributes that it describes.

    Returns:
        Lower-case words that name the shape and, mostly, colour and motion.
    """
    template = str(rng.choice(_TEMPLATES))
    named = {"shape": shape, "colour": colour, "motion": motion}
    text = template.format(**{key: rng.choice(PHRASES[value]) for key, value in named.items()})
    text = re.sub(r"\ba (?=[aeiou])", "an ", text)
    if rng.uniform() < 0.5:
        text = f"{rng.choice(_FILLERS)} {text}"
    if rng.uniform() < 0.2:
        text = f"{text} {rng.choice(_FILLERS)}"
    return text
