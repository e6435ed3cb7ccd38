"""What each storage keeps of pictures and sound in a record."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import av
import numpy as np

from vatt_gh.media.form import Form
from vatt_gh.media.mp4 import from_mp4, to_mp4
from vatt_gh.media.pictures import Scaler, from_jpeg
from vatt_gh.media.sound import from_flac, to_flac

_NO_SOUND = np.zeros(0, np.int16)

# The values of a feature, by its name.
Values = Callable[[str], Iterator[bytes | memoryview | np.ndarray]]
# Pictures with their numbers, [H, W, 3] uint8 each, and [S] int16 sound.
PicturesAndSound = tuple[Iterable[tuple[int, np.ndarray]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Storage:
    """How records hold pictures and sound.

    Attributes:
        features: {name: kind} of what is stored; kinds are 'jpegs' (a list of JPEG images),
            'samples' ([n] int16) and 'bytes'. Sound has the name 'audio'.
        keeper: scaler of a video, form -> the function that turns a needed frame into what is kept
            of it until its segment is complete.
        packed: kept frames, [n] int16 sound (None: there is none), form -> {feature: value}.
        decoded: values of a record or a segment, numbers [K] of the wanted pictures, integers in
            ascending order, stretch of the wanted samples (empty: none) -> pictures and sound.
            There is no picture if the record is audio-only. None: the original is decoded; records
            have its path.
        outgrows_videos: whether records usually take more room than the videos.
    """

    features: Mapping[str, str]
    keeper: Callable[[Scaler, Form], Callable[[av.VideoFrame], Any]]
    packed: Callable[[list[Any], np.ndarray | None, Form], dict[str, Any]]
    decoded: Callable[[Values, np.ndarray, range], PicturesAndSound] | None = None
    outgrows_videos: bool = False

    @property
    def reads_originals(self) -> bool:
        """Whether the videos are decoded again for every window."""
        return self.decoded is None


def _packed_jpegs(frames: list[bytes], audio: np.ndarray | None, form: Form) -> dict[str, Any]:
    return {"frames": frames, "audio": _NO_SOUND if audio is None else audio}


def _decoded_jpegs(values: Values, numbers: np.ndarray, samples: range) -> PicturesAndSound:
    jpegs = list(itertools.islice(values("frames"), int(numbers[-1]) + 1))
    pictures = ((k, from_jpeg(jpegs[k])) for k in numbers if jpegs)
    audio = np.frombuffer(next(values("audio")), np.int16) if samples else _NO_SOUND
    return pictures, audio[samples.start : samples.stop]


def _packed_mp4(frames: list[Any], audio: np.ndarray | None, form: Form) -> dict[str, Any]:
    flac = b"" if audio is None else to_flac(audio, form.audio_rate)
    return {"video": to_mp4(frames) if frames else b"", "audio": flac}


def _decoded_mp4(values: Values, numbers: np.ndarray, samples: range) -> PicturesAndSound:
    video, first = b"".join(values("video")), int(numbers[0])
    pictures = from_mp4(video, first, int(numbers[-1]) + 1 - first) if video else ()
    if not samples:
        return enumerate(pictures, first), _NO_SOUND
    audio = from_flac(b"".join(values("audio")), samples.start, len(samples))
    return enumerate(pictures, first), audio


# A new storage needs one entry here; builders, readers and benchmarks take it from here.
STORAGES = {
    "jpeg": Storage(
        features={"frames": "jpegs", "audio": "samples"},
        keeper=lambda scaler, form: lambda frame: scaler.planes(frame).jpeg(form.jpeg_quality),
        packed=_packed_jpegs,
        decoded=_decoded_jpegs,
        outgrows_videos=True,
    ),
    # An H.264 file in which frame k has time stamp k, and a FLAC file.
    "mp4": Storage(
        features={"video": "bytes", "audio": "bytes"},
        keeper=lambda scaler, form: scaler.planes,
        packed=_packed_mp4,
        decoded=_decoded_mp4,
    ),
    "index": Storage(
        features={},
        keeper=lambda scaler, form: lambda frame: None,
        packed=lambda frames, audio, form: {},
    ),
}
