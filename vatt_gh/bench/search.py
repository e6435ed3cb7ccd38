"""How long a query takes in many extracted windows, and how much memory."""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from vatt_gh.evaluation.embedder import Embedded
from vatt_gh.evaluation.retrieval import unit
from vatt_gh.evaluation.search import nearest
from vatt_gh.evaluation.vectors import Vectors

_WRITTEN_AT_ONCE = 50_000
_COLUMN = "video_to_text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the measurement's own arguments."""
    parser.add_argument(
        "--windows", type=int, default=1_000_000, help="number of windows; default 1,000,000"
    )
    parser.add_argument("--width", type=int, default=512, help="width of a vector; default 512")
    parser.add_argument("--repeat", type=int, default=5, help="number of queries; default 5")
    parser.add_argument("--folder", help="folder for the vectors; default: a temporary one")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes random vectors as an extraction does, and ranks them by several queries.

    Returns:
        The arguments, 'gigabytes' of the vectors, 'seconds' of every query, and 'peak_gigabytes',
        the most memory that the whole process has held.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        vectors = Vectors(Path(folder))
        for first in range(0, arguments.windows, _WRITTEN_AT_ONCE):
            count = min(_WRITTEN_AT_ONCE, arguments.windows - first)
            ids = [f"video{first + n}" for n in range(count)]
            vectors.write(0, [], ids, _drawn(rng, count, arguments.width))
        size = sum(path.stat().st_size for path in Path(folder).glob("video-*.parquet"))
        seconds = []
        for _ in range(arguments.repeat):
            query = unit(rng.normal(size=arguments.width).astype(np.float32))
            began = time.perf_counter()
            nearest(query, vectors.blocks("video", _COLUMN), 160)
            seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**vars(arguments), "gigabytes": size / 1e9, "seconds": seconds, "peak_gigabytes": peak}


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers of `run`."""
    return (
        f"{numbers['windows']:,} windows, {numbers['gigabytes']:.2f} GB: a query takes "
        f"{statistics.median(numbers['seconds']):.2f} s (median of {numbers['repeat']}); the "
        f"process held {numbers['peak_gigabytes']:.2f} GiB at the most"
    )


def _drawn(rng: np.random.Generator, count: int, width: int) -> Embedded:
    times = np.arange(count, dtype=np.float32)
    nothing = np.zeros((count, 1), np.float32)
    return Embedded(
        start=times,
        end=times + 1,
        features={"video": nothing, "audio": nothing},
        embeddings={_COLUMN: unit(rng.normal(size=(count, width)).astype(np.float32))},
        masks={"video": np.ones(count, bool), "audio": np.zeros(count, bool)},
    )
