"""A synthetic clip like HowTo100M's: 640 x 360, 30 frames a second, H.264 and AAC."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_WIDTH, _HEIGHT, _FPS, _RATE = 640, 360, 30, 44_100


def write_clip(path: Path, seconds: float, seed: int = 0) -> None:
    """Writes a clip of moving textures at all scales with a little grain, and a noisy tone.

    Args:
        path: the mp4 file to write.
        seconds: its length.
        seed: seed for the textures.
    """
    rng = np.random.default_rng(seed)
    scene = _texture(rng)
    with av.open(str(path), "w") as container:
        options = {"crf": "24", "g": "150", "preset": "veryfast"}
        video = container.add_stream("libx264", rate=_FPS, options=options)
        video.width, video.height, video.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=_RATE, layout="stereo")
        per_frame = _RATE // _FPS
        for k in range(round(seconds * _FPS)):
            x, y = int(200 + 150 * np.sin(k / 40)), int(100 + 80 * np.cos(k / 55))
            grain = rng.normal(size=(_HEIGHT, _WIDTH, 1)) * 3
            image = np.clip(scene[y : y + _HEIGHT, x : x + _WIDTH] + grain, 0, 255)
            frame = av.VideoFrame.from_ndarray(image.astype(np.uint8), "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, _FPS)
            container.mux(video.encode(frame))
            time = (k * per_frame + np.arange(per_frame)) / _RATE
            wave = 8000 * np.sin(2 * np.pi * 440 * time) + rng.normal(size=per_frame) * 300
            both = np.repeat(wave.astype(np.int16), 2)[None]
            sound = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
            sound.sample_rate, sound.pts = _RATE, k * per_frame
            sound.time_base = Fraction(1, _RATE)
            container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode(None))


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Draws [720, 1280, 3] float in 0 .. 255, rougher at larger scales, like natural pictures."""
    total = np.zeros((2 * _HEIGHT, 2 * _WIDTH, 3))
    for size in (4, 8, 16, 32, 64, 128):
        small = rng.normal(size=(2 * _HEIGHT // size + 2, 2 * _WIDTH // size + 2, 3))
        large = np.kron(small, np.ones((size, size, 1)))
        total += large[: 2 * _HEIGHT, : 2 * _WIDTH] * size**0.7
    return (total - total.min()) / np.ptp(total) * 255


def decode_bare(path: Path) -> int:
    """Decodes all pictures and sound of a file, discards them, and returns their number."""
    with av.open(str(path)) as container:
        streams = [container.streams.video[0], container.streams.audio[0]]
        for stream in streams:
            stream.codec_context.thread_count = 1
        return sum(1 for packet in container.demux(streams) for _ in packet.decode())
