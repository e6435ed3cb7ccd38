"""Decodes many videos in separate processes; holds one segment in memory here.

A worker writes a video's segments to a spool file; they are read from it only when the whole video
is decoded. So a video that breaks midway, or kills its decoder, leaves nothing behind.
"""

import dataclasses
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from vatt_gh.media.form import Form, MediaError, Segment, Span
from vatt_gh.media.notes import Notes
from vatt_gh.media.sound_file import is_sound_file
from vatt_gh.media.video import read_segments
from vatt_gh.media.workers import Died, Limits, run_in_order


@dataclasses.dataclass(frozen=True)
class Decoded:
    """The outcome of decoding a video.

    Attributes:
        video: its id.
        segments: number of segments.
        end: end of the last one, in seconds.
        has_audio: whether they have sound.
        error: why it cannot be used, or None.
        remarks: other remarks on it.
    """

    video: str
    segments: int
    end: float
    has_audio: bool
    error: str | None
    remarks: list[str] = dataclasses.field(default_factory=list)


def decode_all(
    videos: list[tuple[str, Path, Span]],
    *,
    form: Form,
    workers: int,
    spool_dir: Path | None,
    limits: Limits,
) -> Iterator[tuple[str, Segment | Decoded]]:
    """Decodes videos; keeps their order for any number of workers.

    Args:
        videos: (id, path, wanted part).
        form: how to store them.
        workers: number of processes.
        spool_dir: folder for decoded segments; None: the system's temporary directory.
        limits: limits on time and memory for one video.

    Yields:
        (id, Decoded), then (id, segment) for all segments of the video.

    Raises:
        OSError: the spool is full.
    """
    with tempfile.TemporaryDirectory(dir=spool_dir, prefix="spool") as spool:
        files = [Path(spool) / f"{number + 1}" for number in range(len(videos))]
        tasks = [(*video, form, file) for video, file in zip(videos, files, strict=True)]
        with closing(run_in_order(_decode, tasks, workers=workers, limits=limits)) as results:
            for (video, *_), file, done in zip(videos, files, results, strict=True):
                if isinstance(done, OSError):
                    raise done
                if isinstance(done, Died):
                    done = Decoded(video, 0, 0.0, False, done.reason)
                yield video, done
                if done.error is None:
                    yield from ((video, segment) for segment in _unspool(file, done))
                file.unlink(missing_ok=True)


def _decode(video: str, path: Path, span: Span, form: Form, file: Path) -> Decoded | OSError:
    count, seconds, has_audio, notes = 0, 0.0, False, Notes()
    try:
        with file.open("wb") as spool:
            for segment in read_segments(path, form, notes, span):
                pickle.dump(segment, spool)
                count, seconds = count + 1, segment.end
                has_audio = segment.has_audio
    except MediaError as error:
        return Decoded(video, 0, 0.0, False, error.reason)
    except OSError as error:  # an error of the spool: not this video's fault
        return error
    # If no sound could be decoded, no segment has any; the reason is still listed.
    problem = notes.sound.problem() if has_audio or notes.sound.damage else None
    if problem is not None and is_sound_file(path):
        return Decoded(video, 0, 0.0, False, problem)
    missing = problem or (notes.sound.remark(seconds) if has_audio else None)
    remarks = [*notes.remarks, *([missing] if missing else [])]
    return Decoded(video, count, seconds, has_audio and problem is None, None, remarks)


def _unspool(file: Path, decoded: Decoded) -> Iterator[Segment]:
    with file.open("rb") as spool:
        for _ in range(decoded.segments):
            segment = pickle.load(spool)
            if segment.has_audio and not decoded.has_audio:
                segment = segment.without_sound()
            yield segment
