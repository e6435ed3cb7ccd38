"""Writes small media files, for the tests of all their readers."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vatt_gh.demo.corpus import CorpusSpec

MILLISECONDS = Fraction(1, 1000)


def small_spec(**changes: float) -> CorpusSpec:
    """Four narrated videos of about 10 s, a fifth of the captions and sounds wrong."""
    given = {
        "videos": 4,
        "caption_noise": 0.2,
        "sound_noise": 0.2,
        "width": 64,
        "height": 48,
        "fps": 10,
        "audio_rate": 16_000,
        "min_seconds": 9.0,
        "max_seconds": 11.0,
        "min_scene_seconds": 4.0,
        "max_scene_seconds": 8.0,
    }
    return CorpusSpec(**given | changes)


def grey(level: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture with one grey level."""
    return np.full((height, width, 3), level, np.uint8)


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    """[n] float32 sine with amplitude 0.5."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype("f4")


def put(folder: Path, *names: str) -> None:
    """Makes files that are no media, and whose content nobody should read; "._" as a Mac does."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        apple_double = path.name.startswith("._")
        path.write_bytes(b"\x00\x05\x16\x07" if apple_double else b"no media, and nobody looks")


def write_media(
    path: Path,
    images: Sequence[np.ndarray] = (),
    times: Sequence[float] = (),
    *,
    fps: int = 10,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pixel_aspect: Fraction | None = None,
    sound: Sequence[tuple[float, np.ndarray]] = (),
    rate: int = 16_000,
    sound_codec: str = "pcm_s16le",
    layout: str = "mono",
    options: dict[str, str] | None = None,
    time_base: Fraction = MILLISECONDS,
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Writes a file, without a stream for missing images or sound.

    Args:
        path: its suffix determines the container.
        images: [H, W, 3] uint8 each.
        times: start of each image in seconds, exact to the time base.
        fps: the file's claimed pictures per second; sets the duration of the last one.
        codec, pix_fmt: format of the pictures.
        pixel_aspect: width by height of a pixel; None: square.
        sound: pieces (start in seconds, samples float32), in order; gaps stay gaps.
        rate: samples per second.
        sound_codec, layout: format of the sound; all channels are equal.
        options: options of the container.
        time_base: unit of the pictures' time stamps, in seconds. AVI files have as many pictures
            per second; those not given are empty.
        codec_options: options for the pictures; None: fast encoding, without delayed frames.

    Returns:
        The path.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        packets = []
        if len(images):
            video = _picture_stream(
                container,
                codec,
                fps,
                images[0].shape,
                pix_fmt,
                pixel_aspect,
                time_base,
                codec_options,
            )
            for image, time in zip(images, times, strict=True):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = round(time / time_base), time_base
                packets += video.encode(frame)
            packets += video.encode(None)
        if len(sound):
            stream = container.add_stream(sound_codec, rate=rate, layout=layout)
            for start, samples in sound:
                packets += _encode_sound(stream, start, samples, rate)
            packets += stream.encode(None)
        # In order of time, like files from cameras.
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _picture_stream(container, codec, fps, shape, pix_fmt, pixel_aspect, time_base, options):
    # One thread and no delayed frames: a file of few frames keeps its time stamps.
    x264 = {"crf": "8", "preset": "veryfast", "threads": "1", "bf": "0"}
    if options is None:
        options = x264 if codec == "libx264" else {}
    video = container.add_stream(codec, rate=fps, options=options)
    video.height, video.width = shape[:2]
    video.pix_fmt = pix_fmt
    video.codec_context.time_base = time_base
    if pixel_aspect is not None:
        video.codec_context.sample_aspect_ratio = pixel_aspect
    return video


def _encode_sound(stream, start, samples, rate):
    channels = stream.codec_context.layout.nb_channels
    name, layout = stream.codec_context.format.name, stream.codec_context.layout
    whole = (np.clip(samples, -1, 1) * 32767).round().astype(np.int16)
    for first in range(0, len(whole), 1024):
        array = np.repeat(whole[first : first + 1024], channels)[None]
        frame = av.AudioFrame.from_ndarray(array, format="s16", layout=layout)
        frame.sample_rate = rate
        if name != "s16":
            (frame,) = av.AudioResampler(name).resample(frame)
        frame.pts, frame.time_base = round(start * rate) + first, Fraction(1, rate)
        yield from stream.encode(frame)
