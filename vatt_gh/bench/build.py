"""The cost of building records against decoding alone, and the gain from a second process."""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfds_builders.build import build
from tfds_builders.parts import Settings
from vatt_gh.bench.clip import decode_bare, write_clip
from vatt_gh.bench.rates import in_turns, rate_rows
from vatt_gh.media.form import Form
from vatt_gh.media.storages import STORAGES
from vatt_gh.media.video import read_segments

_UNIT = "clip-seconds per CPU-second"
_BARE = "bare decode"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this measurement's arguments to the command line."""
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a clip")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=16, help="number of clips of a whole build")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures with the command line's arguments.

    Args:
        arguments: the parsed command line, see `add_arguments`.

    Returns:
        {"rows": [{"case", "rate", "unit", "share_of_bare_decode", and for a storage
        "gigabytes_an_hour" of its records}], "two_processes": speed-up over one process}. Times
        are medians; the cases alternate.
    """
    with tempfile.TemporaryDirectory(prefix="vatt_gh-bench-") as folder:
        clip = Path(folder) / "videos" / "clip.mp4"
        clip.parent.mkdir()
        write_clip(clip, arguments.seconds)
        cases = {_BARE: lambda: decode_bare(clip)}
        for storage in STORAGES:
            form = Form(storage=storage)
            cases[storage] = lambda form=form: sum(s.count for s in read_segments(clip, form))
        timed = {name: _rate(case, arguments.seconds) for name, case in cases.items()}
        rates = in_turns(timed, arguments.rounds)
        sizes = {
            storage: _bytes_of(clip, Form(storage=storage)) / arguments.seconds * 3600 / 1e9
            for storage in STORAGES
        }
        for k in range(arguments.clips):
            shutil.copy(clip, clip.parent / f"copy{k}.mp4")
        clip.unlink()
        gains = []
        for _ in range(arguments.rounds):
            one, two = (_whole_build(Path(folder), workers, arguments) for workers in (1, 2))
            gains.append(two / one)
    rows = rate_rows(rates, _UNIT, lambda name: _BARE)
    for row in rows[1:]:
        row["gigabytes_an_hour"] = sizes[row["case"]]
    return {"rows": rows, "two_processes": statistics.median(gains), "clips": arguments.clips}


def _rate(case: Callable[[], object], seconds: float) -> Callable[[], float]:
    """Makes the function that measures clip-seconds per CPU-second."""

    def measure() -> float:
        begin = time.process_time()
        case()
        return seconds / (time.process_time() - begin)

    return measure


def _bytes_of(clip: Path, form: Form) -> int:
    """Counts the bytes of pictures and sound in the records of a clip."""
    return sum(segment.nbytes() for segment in read_segments(clip, form))


def _whole_build(folder: Path, workers: int, arguments: argparse.Namespace) -> float:
    """Measures clips a second when building JPEG records, without the first clip of each process.

    A build takes hours, so that starting TensorFlow and the processes does not count.
    """
    seconds = []
    for count in (workers, arguments.clips):
        some = folder / f"some{count}" / "videos"
        shutil.rmtree(some, ignore_errors=True)
        some.mkdir(parents=True)
        for clip in sorted((folder / "videos").iterdir())[:count]:
            (some / clip.name).symlink_to(clip)
        records = folder / "records"
        settings = Settings(workers=workers)
        begin = time.perf_counter()
        build("howto100m", manual_dir=some.parent, data_dir=records, form=Form(), settings=settings)
        seconds.append(time.perf_counter() - begin)
        shutil.rmtree(records)
    return (arguments.clips - workers) / (seconds[1] - seconds[0])


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers as text."""
    lines = [
        f"{row['case']:12} {row['rate']:7.1f} {row['unit']}, "
        f"{row['share_of_bare_decode']:.2f} of bare decode"
        + (f", {row['gigabytes_an_hour']:.2f} GB an hour" if "gigabytes_an_hour" in row else "")
        for row in numbers["rows"]
    ]
    lines.append(f"two processes build {numbers['two_processes']:.2f} times as fast as one")
    return "\n".join(lines)
