"""mode=extract: features and embeddings of all media files of a folder."""

import contextlib
import dataclasses
import os
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from vatt_gh.errors import UserError, printable
from vatt_gh.evaluation.embedder import Embedded, Embedder, Windows, concatenated, load
from vatt_gh.evaluation.vectors import Vectors, relative_id
from vatt_gh.locks import claimed
from vatt_gh.media.decoding import Decoded, decode_all
from vatt_gh.media.file_tree import MEDIA_SUFFIXES, scan_files
from vatt_gh.media.form import WHOLE, Segment
from vatt_gh.media.workers import Limits
from vatt_gh.training.parallel import all_hosts

_SHARD_FILES = 64  # most files in a shard, which a killed extraction loses
_SHARD_WINDOWS = 20_000  # with so many windows a shard takes no further file
_AHEAD = 4  # batches of windows that are decoded ahead
LAYOUT = """
    FOLDER/    videos and sound files, at any depth"""


@dataclasses.dataclass
class Summary:
    """An extraction's outcome.

    Attributes:
        files: files embedded, now and earlier.
        windows: their windows.
        failed: {video id: reason} of the files that could not be read.
        seconds: duration of this call.
        waited: the part of it spent waiting for decoded windows, in seconds.
    """

    files: int
    windows: int
    failed: dict[str, str]
    seconds: float
    waited: float


def folder_of(section: ConfigDict, workdir: Path) -> Path:
    """Finds the folder of an extraction's vectors, by the section `extract`."""
    return Path(section.to) if section.to else Path(workdir) / "extracted"


def extract(config: ConfigDict, workdir: Path) -> Summary:
    """Embeds all media files of a folder with the newest checkpoint; continues where it was.

    Each of several processes embeds its share of the files.

    Args:
        config: the whole configuration, checked; `extract` says what is embedded.
        workdir: work directory of the run.

    Returns:
        The outcome; files that cannot be read are in it, and in the folder's shard-*.json.

    Raises:
        UserError: there is no checkpoint or no file, or the folder of vectors is in use, or holds
            vectors of another checkpoint.
    """
    began = time.perf_counter()
    videos, vectors = Path(config.extract.videos), Vectors(folder_of(config.extract, workdir))
    files = _found(videos)
    embedder = load(workdir, config)
    host = jax.process_index()
    vectors.claim(
        {
            "weights": embedder.fingerprint,
            "videos": str(videos.absolute()),
            "every": config.extract.every,
            **dataclasses.asdict(embedder.form),
        }
    )
    with claimed(vectors.folder / f".lock-{host}") as free:
        if not free:
            raise UserError(
                "Another process writes these vectors.",
                where=vectors.folder,
                expected="one extraction at a time",
                todo="wait for it, or give another --config.extract.to",
            )
        waited = _extract(embedder, vectors, _missing(files, vectors, host), host)
    waited = max(all_hosts(waited))  # and until the files of all hosts are written
    rows = vectors.files()
    summary = Summary(
        files=sum(row["error"] is None for row in rows),
        windows=sum(row["windows"] for row in rows),
        failed={row["video_id"]: row["error"] for row in rows if row["error"] is not None},
        seconds=time.perf_counter() - began,
        waited=waited,
    )
    if host == 0:
        _print(summary, vectors.folder)
    return summary


@dataclasses.dataclass(frozen=True)
class _File:
    """A media file of the folder.

    Attributes:
        name: its id.
        path: its path.
        size: its size in bytes.
        changed: time of its last change, in nanoseconds.
        error: why it cannot be opened at all, or None.
    """

    name: str
    path: Path
    size: int
    changed: int
    error: str | None

    def row(self, decoded: Decoded) -> dict[str, Any]:
        """Returns its row for `Vectors.files`."""
        return {
            "video_id": self.name,
            "windows": 0,
            "seconds": decoded.end,
            "size": self.size,
            "changed": self.changed,
            "error": decoded.error,
            "remarks": decoded.remarks,
        }


def _found(videos: Path) -> list[_File]:
    """Finds all media files of a folder."""
    if not videos.is_dir():
        raise _nothing("The folder of videos is missing.", videos)
    tree = scan_files(videos, LAYOUT)
    paths: list[tuple[str, str | None]] = [(p, None) for p in tree.media_files(MEDIA_SUFFIXES)]
    paths += [(row["path"], row["reason"]) for row in tree.skipped_of(MEDIA_SUFFIXES)]
    if not paths:
        raise _nothing("The folder has no video and no sound file.", videos)
    found = []
    for path, error in sorted(paths):
        size = changed = 0
        with contextlib.suppress(OSError):  # a link to nothing
            status = os.stat(path)
            size, changed = status.st_size, status.st_mtime_ns
        # A name that is not UTF-8 is none of JSON either.
        name = relative_id(path, videos).encode("utf-8", "replace").decode()
        found.append(_File(name, Path(path), size, changed, error))
    return found


def _nothing(problem: str, videos: Path) -> UserError:
    return UserError(
        problem,
        where=videos,
        expected="a folder with videos or sound files, at any depth",
        todo="give another --config.extract.videos",
    )


def _missing(files: list[_File], vectors: Vectors, host: int) -> list[_File]:
    """Picks this process's share of files that are new, changed, or could not be read before."""
    done = {
        (row["video_id"], row["size"], row["changed"])
        for row in vectors.files()
        if row["error"] is None
    }
    hosts = jax.process_count()
    return [
        file
        for file in files
        if (file.name, file.size, file.changed) not in done
        and zlib.crc32(file.name.encode()) % hosts == host  # the same wherever it starts
    ]


def _extract(embedder: Embedder, vectors: Vectors, files: list[_File], host: int) -> float:
    """Embeds files and writes them shard by shard; returns the seconds spent waiting."""
    unusable = [f.row(Decoded(f.name, 0, 0.0, False, f.error)) for f in files if f.error]
    if unusable:
        vectors.write(host, unusable, [], None)
    config, usable = embedder.config, {f.name: f for f in files if f.error is None}
    decoding = decode_all(
        [(file.name, file.path, WHOLE) for file in usable.values()],
        form=embedder.form,
        workers=config.data.build_workers,
        spool_dir=None,
        limits=Limits(),
    )
    clock, done = _WaitClock(), 0
    with closing(decoding) as decoded, ThreadPoolExecutor(config.data.build_workers) as pool:
        items = _Pushback(clock.timed(_prepared(decoded, pool, embedder)))
        while True:
            rows: list[dict[str, Any]] = []
            owners: list[str] = []
            parts: list[Embedded] = list(
                embedder.embed_windows(_shard(items, usable, rows, owners))
            )
            if not rows:
                return clock.seconds
            vectors.write(host, rows, owners, concatenated(parts) if parts else None)
            done += len(rows)
            print(f"{done} of {len(usable)} files", flush=True)


class _WaitClock:
    """Measures how long an iterator keeps its reader waiting."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, items: Iterator[Any]) -> Iterator[Any]:
        while True:
            began = time.perf_counter()
            item = next(items, None)
            self.seconds += time.perf_counter() - began
            if item is None:
                return
            yield item


class _Pushback:
    """An iterator that takes an item back."""

    def __init__(self, items: Iterator[Any]):
        self._items, self._back = items, None

    def next(self) -> Any:
        """Returns the next item; None at the end."""
        item, self._back = self._back, None
        return next(self._items, None) if item is None else item

    def back(self, item: Any) -> None:
        """Makes an item the next one again."""
        self._back = item


def _prepared(
    decoded: Iterator[tuple[str, Segment | Decoded]], pool: ThreadPoolExecutor, embedder: Embedder
) -> Iterator[tuple[str, Windows | Decoded]]:
    """Replaces segments by their windows, which are decoded a little ahead, in threads."""
    waiting: deque[tuple[str, Future | Decoded]] = deque()

    def first() -> tuple[str, Windows | Decoded]:
        video, item = waiting.popleft()
        return video, item.result() if isinstance(item, Future) else item

    for video, item in decoded:
        if isinstance(item, Decoded):
            waiting.append((video, item))
        else:
            for firsts in embedder.places(item, embedder.config.extract.every):
                waiting.append((video, pool.submit(embedder.windows, item, firsts)))
                while len(waiting) > _AHEAD:
                    yield first()
    while waiting:
        yield first()


def _shard(
    items: _Pushback, files: Mapping[str, _File], rows: list[dict[str, Any]], owners: list[str]
) -> Iterator[Windows]:
    """Takes the files of a shard from the stream.

    Args:
        items: (video id, Decoded), then (video id, windows) as often as it takes, ...
        files: files by id.
        rows: receives a row for every file.
        owners: receives the video id of every window.

    Yields:
        Windows.
    """
    while (found := items.next()) is not None:
        video, item = found
        if not isinstance(item, Decoded):
            count = len(item["start"])
            owners += [video] * count
            rows[-1]["windows"] += count
            yield item
        elif len(rows) == _SHARD_FILES or len(owners) >= _SHARD_WINDOWS:
            items.back(found)
            return
        else:
            rows.append(files[video].row(item))


def _print(summary: Summary, folder: Path) -> None:
    share = summary.waited / max(summary.seconds, 1e-9)
    print(
        f"{summary.windows} windows of {summary.files} files in {folder}; {summary.seconds:.1f} s, "
        f"{share:.0%} of it waiting for decoded windows"
    )
    for name, reason in summary.failed.items():
        print(printable(f"  left out: {name} {reason}"))
