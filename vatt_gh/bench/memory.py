"""Temporary memory of plain and harmonized steps over batch and width, as XLA compiles them.

A video tower of the size `third` with fewer tokens and layers, so that one sample's gradients take
more than its activations: this shows which engines hold samples' gradients. Programs are only
compiled for shapes; no values are drawn and nothing runs.
"""

import argparse
import dataclasses
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp

from vatt_gh.bench.cases import PLAIN, configure, third, tower_step
from vatt_gh.harmonize import ENGINES
from vatt_gh.training.construct import model_of, zero_sample

MEASURED_STEPS = (PLAIN, *ENGINES)  # some of bench.cases.STEPS
_MIB = 2**20
_CLIP_SIZES = {"frames": 16, "size": 64, "audio_samples": 1_280}  # 64 tokens of video
# Code that never runs need not be fast; memory is assigned before code is generated.
_NEVER_RUNS = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this measurement's arguments to the command line."""
    parser.add_argument("--batches", nargs="+", type=int, default=[4, 16])
    parser.add_argument(
        "--widths", nargs="+", type=int, default=[128, 256, 512], help="multiples of 64"
    )
    parser.add_argument("--layers", type=int, default=2)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures with the command line's arguments.

    Args:
        arguments: the parsed command line, see `add_arguments`.

    Returns:
        {"rows": [{"width", "batch", "engine", "parameter_bytes" of the tower, "temp_bytes",
        "temp_bytes_ratio" to plain}], "growth": see `growth`, "layers", "platform"}.
    """
    rows = []
    for width in arguments.widths:
        for batch in arguments.batches:
            some = [_measured(width, batch, step, arguments.layers) for step in MEASURED_STEPS]
            rows += [
                {**row, "temp_bytes_ratio": row["temp_bytes"] / some[0]["temp_bytes"]}
                for row in some
            ]
    found = {"rows": rows, "growth": growth(rows), "layers": arguments.layers}
    return {**found, "platform": jax.default_backend()}


def _measured(width: int, batch: int, step: str, layers: int) -> dict[str, Any]:
    size = dataclasses.replace(third(width, layers, batch), data=_CLIP_SIZES, keep_tokens=1.0)
    config = configure(size, "video_tower", step)
    model = model_of(config, words=size.words, audio_rate=config.data.build_audio_rate)
    data = config.data
    sample = zero_sample(data)
    params, _ = jax.eval_shape(model.init, jax.random.key(0), sample)
    tower = {"video": params["towers"]["video"]}
    clips = {"video": jax.ShapeDtypeStruct((batch, *sample["video"].shape), jnp.float32)}
    lowered = jax.jit(tower_step(config, model)).lower(tower, clips)
    memory = lowered.compile(compiler_options=_NEVER_RUNS).memory_analysis()
    return {
        "width": width,
        "batch": batch,
        "engine": step,
        "parameter_bytes": sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tower)),
        "temp_bytes": int(memory.temp_size_in_bytes),
    }


def growth(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Computes the memory per additional sample, from the smallest to the largest batch.

    Args:
        rows: rows from `run`.

    Returns:
        For each width and step {"width", "engine", "bytes_a_sample", "parameter_bytes",
        "gradients_a_sample"}: the last is what a step takes beyond plain, in gradients of the
        whole tower. Empty if there is only one batch size.
    """
    found = []
    for width in dict.fromkeys(row["width"] for row in rows):
        plain = None
        for step in MEASURED_STEPS:
            some = [row for row in rows if (row["width"], row["engine"]) == (width, step)]
            first, last = min(some, key=itemgetter("batch")), max(some, key=itemgetter("batch"))
            if first["batch"] == last["batch"]:
                continue
            slope = (last["temp_bytes"] - first["temp_bytes"]) / (last["batch"] - first["batch"])
            plain = slope if step == PLAIN else plain
            found.append(
                {
                    "width": width,
                    "engine": step,
                    "bytes_a_sample": slope,
                    "parameter_bytes": first["parameter_bytes"],
                    "gradients_a_sample": (slope - plain) / first["parameter_bytes"],
                }
            )
    return found


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers as text."""
    lines = [
        f"temporary memory in MiB of a video tower of {numbers['layers']} layers and 64 tokens, "
        f"and its ratio to plain ({numbers['platform']})",
        f"{'width':>6}{'tower':>8}{'batch':>7}{PLAIN:>9}"
        + "".join(f"{engine:>16}" for engine in ENGINES),
    ]
    cells = {(row["width"], row["batch"], row["engine"]): row for row in numbers["rows"]}
    for width, batch in dict.fromkeys(key[:2] for key in cells):
        plain, *others = (cells[width, batch, step] for step in MEASURED_STEPS)
        lines.append(
            f"{width:6}{plain['parameter_bytes'] / _MIB:8.1f}{batch:7}"
            f"{plain['temp_bytes'] / _MIB:9.1f}"
            + "".join(f"{o['temp_bytes'] / _MIB:9.1f}{o['temp_bytes_ratio']:6.2f}x" for o in others)
        )
    if numbers["growth"]:
        lines.append(
            "cost of one more sample: MiB; beyond the plain step, in copies of the tower's gradient"
        )
    for row in numbers["growth"]:
        lines.append(
            f"{row['width']:6}  {row['engine']:8}{row['bytes_a_sample'] / _MIB:8.1f}"
            f"{row['gradients_a_sample']:8.2f}"
        )
    return "\n".join(lines)
