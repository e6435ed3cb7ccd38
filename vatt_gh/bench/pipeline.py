"""Windows a second from the input pipeline, against decoding the same bytes alone."""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import tensorflow as tf
from ml_collections import ConfigDict

from tfds_builders.build import build
from vatt_gh import config as configuration
from vatt_gh.bench.clip import write_clip
from vatt_gh.bench.data_wait import waiting
from vatt_gh.bench.rates import in_turns, rate_rows
from vatt_gh.data.frames import View
from vatt_gh.data.pipeline import training_batches
from vatt_gh.data.records import Source, open_source
from vatt_gh.data.text import Tokenizer, build_vocabulary
from vatt_gh.media.form import Form
from vatt_gh.media.storages import STORAGES

# Copies of every clip: more records than memory keeps, so that each window reads its own.
_COPIES = 6
_UNIT = "windows a second"
_WAIT = "of it waits for data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this measurement's arguments to the command line."""
    parser.add_argument("--clips", type=int, default=4, help="clips of 30 s to build records of")
    parser.add_argument("--windows", type=int, default=96, help="per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--augmentations", nargs="+", default=["none", "inception"])
    parser.add_argument("--parallel_reads", type=int, default=4)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures with the command line's arguments.

    Args:
        arguments: the parsed command line, see `add_arguments`.

    Returns:
        {"rows": [{"case", "rate", "unit", "share_of_bare_decode"}], ...}: for each storage bare
        decoding, and the pipeline with each augmentation, for windows of 32 x 224 x 224 with sound
        and text. Rates are medians; the cases alternate. The last row is the share of a step of
        `bench harmonize`'s size "third" that waits for its data.
    """
    with tempfile.TemporaryDirectory(prefix="vatt_gh-bench-") as folder:
        videos = Path(folder) / "corpus" / "videos"
        videos.mkdir(parents=True)
        for number in range(arguments.clips * _COPIES):
            clip = videos / f"clip{number}.mp4"
            if number < arguments.clips:
                write_clip(clip, 30.0, number)
            else:
                shutil.copy(videos / f"clip{number % arguments.clips}.mp4", clip)
            subtitles = "start,end,text\n" + "".join(
                f"{k},{k + 3},and now we stir it\n" for k in range(0, 30, 4)
            )
            (videos / f"clip{number}.csv").write_text(subtitles)
        cases: dict[str, Callable[[], float]] = {}
        for storage in STORAGES:
            form = Form(storage=storage)
            parts = build(
                "howto100m",
                manual_dir=videos.parent,
                data_dir=Path(folder) / storage,
                form=form,
            )
            source = open_source(parts)
            # Fewer windows where the originals are decoded, which is slow.
            slow = STORAGES[storage].reads_originals
            windows = max(8, arguments.windows // 8) if slow else arguments.windows
            cases[f"{storage}, bare decode"] = _bare(source, windows, arguments.parallel_reads)
            for augmentation in arguments.augmentations:
                config = _config(augmentation, arguments.parallel_reads)
                cases[f"{storage}, {augmentation}"] = _piped(source, config, windows)
        for case in cases.values():
            case()  # traces graphs, and reads files into memory
        rates = in_turns(cases, arguments.rounds)
        found = waiting(Path(folder) / Form.storage)
    rows = rate_rows(rates, _UNIT, lambda name: f"{name.split(',')[0]}, bare decode")
    case = f"step of {found['step_seconds']:.2f} s"
    waits = {"case": case, "rate": found["share"], "unit": _WAIT, "share_of_bare_decode": None}
    return {"rows": [*rows, waits], "cpus": len(os.sched_getaffinity(0))}


def _config(augmentation: str, parallel_reads: int) -> ConfigDict:
    config = configuration.default()
    config.data.augmentation, config.data.parallel_reads = augmentation, parallel_reads
    config.train.batch_size = 8
    return config


def _piped(source: Source, config: ConfigDict, windows: int) -> Callable[[], float]:
    tokenizer = Tokenizer(build_vocabulary({"stir": 1, "now": 1}, 100), config.data.words)
    batches = windows // config.train.batch_size

    def case() -> float:
        # Closed after each turn: reading ahead would take the other cases' time and memory.
        with closing(
            training_batches([source], tokenizer, config, position=0, host=0, hosts=1)
        ) as given:
            for _ in range(2):  # the first batches wait for the graph and the first reads
                next(given)
            begin = time.perf_counter()
            for _ in range(batches):
                next(given)
            return batches * config.train.batch_size / (time.perf_counter() - begin)

    return case


def _bare(source: Source, windows: int, parallel: int) -> Callable[[], float]:
    """Reads records and only decodes whole frames and the sound of windows."""
    data = configuration.default().data

    @tf.function
    def decode(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        example = source.read(number % source.count)
        first = tf.cast(number * 37 % 268, tf.int32)
        whole = tf.stack([0, 0, example["height"], example["width"]])
        nothing_kept = View(whole[None], tf.constant([False]), tf.constant([1, 1]))
        samples = first * 4800 + tf.range(data.audio_samples)
        frames = first + tf.range(data.frames)
        return source.windows(example, frames[None], samples[None], nothing_kept)

    numbers = [tf.constant(number, tf.int64) for number in range(windows)]
    decode(numbers[0])  # trace here, not in every thread at once

    def case() -> float:
        # Without tf.data, which may take a second to end a finite data set.
        with ThreadPoolExecutor(parallel) as threads:
            begin = time.perf_counter()
            for _ in threads.map(decode, numbers):
                pass
            return windows / (time.perf_counter() - begin)

    return case


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers as text."""
    lines = [f"windows of 32 x 224 x 224 with sound and text, {numbers['cpus']} CPUs"]
    for row in numbers["rows"]:
        line = f"{row['case']:20}{row['rate']:8.3g} {row['unit']}"
        if row["share_of_bare_decode"] is not None:
            line += f", {row['share_of_bare_decode']:.2f} of bare decode"
        lines.append(line)
    return "\n".join(lines)
