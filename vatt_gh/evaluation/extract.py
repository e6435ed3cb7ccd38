"""mode=extract: features and embeddings of all media files of a folder."""

import dataclasses
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from vatt_gh.errors import UserError
from vatt_gh.evaluation.embedder import Embedded, Embedder, Windows, joined, load
from vatt_gh.evaluation.vectors import Vectors, relative_id
from vatt_gh.locks import claimed
from vatt_gh.media.decoding import Decoded, decode_all
from vatt_gh.media.files import MEDIA_SUFFIXES, scan_files
from vatt_gh.media.form import WHOLE, Segment
from vatt_gh.media.workers import Limits

_SHARD = 64  # files of a shard: what a killed extraction loses
_AHEAD = 4  # segments whose windows are decoded ahead
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
        waited: the part of it that passed in waiting for decoded windows, in seconds.
    """

    files: int
    windows: int
    failed: dict[str, str]
    seconds: float
    waited: float


def folder_of(config: ConfigDict, workdir: Path) -> Path:
    """Where an extraction's vectors are."""
    return Path(config.extract.to) if config.extract.to else Path(workdir) / "extracted"


def extract(config: ConfigDict, workdir: Path) -> Summary:
    """Embeds all media files of a folder with the newest checkpoint; continues where it was.

    Of several processes each embeds its share of the files.

    Args:
        config: the whole configuration; `extract` says what is embedded.
        workdir: work directory of the run.

    Returns:
        The outcome; files that cannot be read are in it, and in the folder's shard-*.json.

    Raises:
        UserError: there is no checkpoint or no file, or the folder of vectors is in use, or holds
            vectors of another checkpoint.
    """
    began = time.perf_counter()
    if not config.extract.videos:
        raise UserError(
            "No folder of videos is given.",
            where="config.extract.videos",
            expected="a folder with videos or sound files",
            todo="add --config.extract.videos=FOLDER",
        )
    videos, vectors = Path(config.extract.videos), Vectors(folder_of(config, workdir))
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


def _found(videos: Path) -> list[tuple[str, Path, str | None]]:
    """(id, path, why it cannot be opened at all or None) of all media files of a folder."""
    tree = scan_files(videos, LAYOUT)
    found: list[tuple[str, Path, str | None]] = [
        (relative_id(path, videos), Path(path), None) for path in tree.media_files(MEDIA_SUFFIXES)
    ]
    found += [
        (relative_id(row["path"], videos), Path(row["path"]), row["reason"])
        for row in tree.skipped_of(MEDIA_SUFFIXES)
    ]
    if not found:
        raise tree.error("The folder has no video and no sound file.", videos)
    return sorted(found)


def _missing(
    files: list[tuple[str, Path, str | None]], vectors: Vectors, host: int
) -> list[tuple[str, Path, str | None]]:
    """This process's share of the files that no shard has; the same wherever it starts."""
    done = {row["video_id"] for row in vectors.files()}
    hosts = jax.process_count()
    return [f for f in files if f[0] not in done and zlib.crc32(f[0].encode()) % hosts == host]


def _extract(
    embedder: Embedder, vectors: Vectors, files: list[tuple[str, Path, str | None]], host: int
) -> float:
    """Embeds files and writes them shard by shard; returns the seconds spent waiting."""
    unusable = [_row(Decoded(name, 0, 0.0, False, why)) for name, _, why in files if why]
    if unusable:
        vectors.write(host, unusable, [], None)
    config, form = embedder.config, embedder.form
    tasks = [(name, path, WHOLE) for name, path, why in files if why is None]
    decoding = decode_all(
        tasks,
        form=form,
        workers=config.data.build_workers,
        spool_dir=None,
        limits=Limits(),
    )
    clock, done = _Waiting(), 0
    with closing(decoding) as decoded, ThreadPoolExecutor(config.data.build_workers) as pool:

        def windows_of(segment: Segment) -> Windows:
            return embedder.windows(segment, config.extract.every)

        items = clock.timed(_prepared(decoded, pool, windows_of))
        while True:
            rows: list[dict[str, Any]] = []
            owners: list[str] = []
            parts: list[Embedded] = list(embedder.embed_windows(_shard(items, rows, owners)))
            if not rows:
                return clock.seconds
            vectors.write(host, rows, owners, joined(parts) if parts else None)
            done += len(rows)
            print(f"{done} of {len(tasks)} files", flush=True)


class _Waiting:
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


def _prepared(
    decoded: Iterator[tuple[str, Segment | Decoded]],
    pool: ThreadPoolExecutor,
    windows_of: Callable[[Segment], Windows],
) -> Iterator[tuple[str, Windows | Decoded]]:
    """Replaces segments by their windows, which are decoded a little ahead, in threads."""
    waiting: deque[tuple[str, Future | Decoded]] = deque()

    def first() -> tuple[str, Windows | Decoded]:
        video, item = waiting.popleft()
        return video, item.result() if isinstance(item, Future) else item

    for video, item in decoded:
        segment = isinstance(item, Segment)
        waiting.append((video, pool.submit(windows_of, item) if segment else item))
        if len(waiting) > _AHEAD:
            yield first()
    while waiting:
        yield first()


def _shard(
    items: Iterator[tuple[str, Windows | Decoded]], rows: list[dict[str, Any]], owners: list[str]
) -> Iterator[Windows]:
    """Takes the files of a shard from the stream.

    Args:
        items: (video id, Decoded), then (video id, windows) for each of its segments, ...
        rows: receives a row for every file.
        owners: receives the video id of every window.

    Yields:
        Windows of segments.
    """
    segments = 0  # of the last file, still to come
    while segments or len(rows) < _SHARD:
        video, item = next(items, (None, None))
        if video is None:
            return
        if isinstance(item, Decoded):
            rows.append(_row(item))
            segments = item.segments
        else:
            segments -= 1
            count = len(item["start"])
            owners += [video] * count
            rows[-1]["windows"] += count
            yield item


def _row(decoded: Decoded) -> dict[str, Any]:
    return {
        "video_id": decoded.video,
        "windows": 0,
        "seconds": decoded.end,
        "error": decoded.error,
        "remarks": decoded.remarks,
    }


def _print(summary: Summary, folder: Path) -> None:
    share = summary.waited / max(summary.seconds, 1e-9)
    print(
        f"{summary.windows} windows of {summary.files} files in {folder}; {summary.seconds:.1f} s, "
        f"{share:.0%} of it waiting for decoded windows"
    )
    for name, reason in summary.failed.items():
        print(f"  left out: {name} {reason}")
