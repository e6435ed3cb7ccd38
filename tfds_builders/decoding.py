"""Decodes many videos in processes of their own; one segment at a time is in memory here.

A worker writes the segments of a video to a spool file; only when the whole video is decoded are
they read from it. So a video that breaks midway, or kills its decoder, leaves nothing behind.
"""

import collections
import dataclasses
import multiprocessing
import pickle
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from vatt_gh.media.video import Form, MediaError, Segment, read_segments


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A video is done.

    Attributes:
        video: its id.
        segments: how many it has.
        has_audio: whether they have sound.
        error: why it cannot be used, or None.
    """

    video: str
    segments: int
    has_audio: bool
    error: str | None


def decode_all(
    videos: list[tuple[str, Path]], *, form: Form, workers: int, spool_dir: Path | None
) -> Iterator[tuple[str, Segment | Decoded]]:
    """Decodes videos, in their order whatever the number of workers.

    Args:
        videos: (id, path).
        form: how to store them.
        workers: processes.
        spool_dir: where decoded segments wait; None: the system's temporary directory.

    Yields:
        (id, segment) for all segments of a video, then (id, Decoded).
    """
    with tempfile.TemporaryDirectory(dir=spool_dir, prefix="spool") as spool:
        pool = _Pool(workers)
        waiting = collections.deque(videos)
        running: collections.deque[tuple[str, Path, Path, Future]] = collections.deque()
        try:
            while running or waiting:
                while waiting and len(running) < 2 * workers:
                    video, path = waiting.popleft()
                    file = Path(spool) / f"{len(videos) - len(waiting)}"
                    running.append((video, path, file, pool.submit(video, path, form, file)))
                video, path, file, future = running.popleft()
                try:
                    done = future.result()
                except BrokenProcessPool:
                    done = _alone(video, path, form, file)
                    pool.close()
                    pool = _Pool(workers)
                    running = collections.deque(
                        (v, p, f, pool.submit(v, p, form, f)) for v, p, f, _ in running
                    )
                if done.error is None:
                    yield from ((video, segment) for segment in _unspool(file, done.segments))
                file.unlink(missing_ok=True)
                yield video, done
        finally:
            pool.close()


def _alone(video: str, path: Path, form: Form, file: Path) -> Decoded:
    """Tells whether it was this video whose process died: nothing else runs beside it."""
    pool = _Pool(1)
    try:
        return pool.submit(video, path, form, file).result()
    except BrokenProcessPool:
        return Decoded(video, 0, False, "its decoder process died")
    finally:
        pool.close()


class _Pool:
    """Worker processes; spawned, because TensorFlow's threads do not survive a fork."""

    def __init__(self, workers: int):
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context)

    def submit(self, *arguments: object) -> Future:
        """As an executor's; where a process has died before, the future says so."""
        try:
            return self._pool.submit(_decode, *arguments)
        except BrokenProcessPool as error:
            broken: Future = Future()
            broken.set_exception(error)
            return broken

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _decode(video: str, path: Path, form: Form, file: Path) -> Decoded:
    count, has_audio = 0, False
    try:
        with file.open("wb") as spool:
            for segment in read_segments(path, form):
                pickle.dump(segment, spool)
                count += 1
                has_audio = segment.audio is not None
    except MediaError as error:
        return Decoded(video, 0, False, error.reason)
    return Decoded(video, count, has_audio, None)


def _unspool(file: Path, count: int) -> Iterator[Segment]:
    with file.open("rb") as spool:
        for _ in range(count):
            yield pickle.load(spool)
