"""Draws a scene: a soft-edged moving shape on a dim background."""

import numpy as np

from vatt_gh.demo.scenes import Scene

RGB = {
    "red": (225, 50, 45),
    "green": (60, 190, 70),
    "blue": (60, 95, 235),
    "yellow": (240, 215, 50),
    "purple": (165, 65, 190),
    "white": (240, 240, 240),
}


def draw_scene(
    scene: Scene, rng: np.random.Generator, frames: int, width: int, height: int, fps: float
) -> np.ndarray:
    """Draws all frames of a scene.

    Args:
        scene: the scene to draw.
        rng: the video's random generator.
        frames: number of frames.
        width, height: size of the frames in pixels.
        fps: frames a second.

    Returns:
        [frames, height, width, 3] uint8 RGB.

    Raises:
        ValueError: the shape or motion is unknown.
    """
    time = np.arange(frames) / fps
    radius = np.float32(height * rng.uniform(0.22, 0.32))
    path = _path(scene.motion, time, rng, width, height, radius)
    x, y, scale, angle = (part.astype(np.float32) for part in path)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    u = (columns[None] - x[:, None, None]) / (radius * scale)[:, None, None]
    v = (rows[None] - y[:, None, None]) / (radius * scale)[:, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    u, v = u * cos + v * sin, v * cos - u * sin
    # Distance to the outline in pixels, turned into a soft edge one pixel wide.
    cover = np.clip(0.5 - outline(scene.shape, u, v) * radius, 0.0, 1.0)[..., None]
    colour = np.array(RGB[scene.colour], np.float32) * np.float32(rng.uniform(0.85, 1.0))
    background = _background(rng, width, height).astype(np.float32)
    image = background[None] * (1 - cover) + colour * cover
    return np.clip(image, 0, 255).astype(np.uint8)


def outline(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Measures the distance of a point from a shape's outline.

    Args:
        shape: one of SHAPES.
        u, v: [...] float, a point right of and below the shape's centre, in units of its radius.

    Returns:
        [...] float, approximate signed distance in units of the radius; negative inside.

    Raises:
        ValueError: the shape is unknown.
    """
    r = np.hypot(u, v)
    if shape == "circle":
        return r - 0.9
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) - 0.8
    if shape == "triangle":
        return np.maximum(np.abs(u) * 0.866 - v * 0.5, v) - 0.55
    if shape == "star":
        return r - (0.65 + 0.4 * np.cos(5 * np.arctan2(u, -v)))
    if shape == "ring":
        return np.abs(r - 0.75) - 0.22
    if shape == "cross":
        across = np.maximum(np.abs(u) - 1.0, np.abs(v) - 0.28)
        down = np.maximum(np.abs(v) - 1.0, np.abs(u) - 0.28)
        return np.minimum(across, down)
    if shape == "diamond":
        return (np.abs(u) * 1.7 + np.abs(v) - 1.0) / 1.5
    if shape == "bars":
        stripes = np.abs(np.mod(v + 1.0, 0.667) - 0.333) - 0.19
        return np.maximum(np.maximum(np.abs(u) - 0.95, np.abs(v) - 1.0), stripes)
    raise ValueError(f"unknown shape {shape!r}")


def _path(
    motion: str,
    time: np.ndarray,
    rng: np.random.Generator,
    width: int,
    height: int,
    radius: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns centre x and y [T] in pixels, scale [T], angle [T] in radians."""
    phase = rng.uniform(0, 2 * np.pi)
    x = np.full_like(time, width / 2 + rng.uniform(-0.12, 0.12) * width)
    y = np.full_like(time, height / 2 + rng.uniform(-0.08, 0.08) * height)
    scale = np.ones_like(time)
    angle = np.full_like(time, rng.uniform(-0.2, 0.2))
    if motion == "slides":
        x = width / 2 + (width / 2 - radius) * np.sin(2 * np.pi * 0.4 * time + phase)
    elif motion == "bounces":
        y = height - radius - (height - 2 * radius) * np.abs(np.sin(np.pi * time + phase))
    elif motion == "orbits":
        turn = 2 * np.pi * 0.7 * time + phase
        x = width / 2 + 0.22 * width * np.cos(turn)
        y = height / 2 + 0.22 * height * np.sin(turn)
    elif motion == "pulses":
        scale = 1.0 + 0.4 * np.sin(2 * np.pi * 1.4 * time + phase)
    else:
        raise ValueError(f"unknown motion {motion!r}")
    return x, y, scale, angle


def _background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Draws a dim gradient between two random colours, with a fixed grain."""
    first, second = rng.uniform(0, 70, (2, 3))
    direction = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = np.cos(direction) * columns / width + np.sin(direction) * rows / height
    ramp = ((ramp - ramp.min()) / np.ptp(ramp))[..., None]
    grain = rng.uniform(-8, 8, (height, width, 1))
    return np.clip(first * (1 - ramp) + second * ramp + grain, 0, 255)
