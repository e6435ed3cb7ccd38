"""The cost of harmonization relative to the plain step, in time, operations and memory.

All steps of a case alternate in one process, so that a ratio compares runs under the same load;
it is the median over the rounds of (a harmonized step's time / the plain step's).
"""

import argparse
import dataclasses
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend.core import ClosedJaxpr
from ml_collections import ConfigDict

from vatt_gh.bench.cases import CASES, HARMONIZED, PLAIN, SIZES, Size, configure, draw, make
from vatt_gh.config.model import MODEL
from vatt_gh.flops import count_traced
from vatt_gh.harmonize.engines import REFERENCE
from vatt_gh.harmonize.trees import Tree

_GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this measurement's arguments to the command line."""
    parser.add_argument("--size", choices=SIZES, default="third")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--engines", nargs="+", choices=HARMONIZED, default=list(HARMONIZED))
    dtype, dropout = MODEL["dtype"], MODEL["dropout_rate"]
    parser.add_argument("--dtype", choices=dtype.choices, default=dtype.default)
    parser.add_argument("--dropout", type=float, default=dropout.default)
    parser.add_argument("--batch", type=int, default=0, help="samples; 0: the size's own")
    parser.add_argument("--microbatch", type=int, default=0, help="see train.microbatch")
    parser.add_argument(
        "--vmap-microbatch", type=int, default=0, help="for vmap, which holds samples' gradients"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write a trace of each step")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures with the command line's arguments.

    Args:
        arguments: the parsed command line, see `add_arguments`.

    Returns:
        {"rows": [{"case", "engine", ...}], "machine": {...}}.
    """
    peak = matrix_peak(arguments.dtype)
    rows = []
    for case in arguments.cases:
        rows += _measure_case(case, [PLAIN, *arguments.engines], arguments, peak)
    device = jax.devices()[0]
    machine = {
        "device": device.device_kind,
        "platform": device.platform,
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "jax": jax.__version__,
        "matrix_peak_flops_per_second": peak,
    }
    return {"rows": rows, "machine": machine}


def _measure_case(
    case: str, steps: list[str], arguments: argparse.Namespace, peak: float
) -> list[dict[str, Any]]:
    made = SIZES[arguments.size]()
    if arguments.batch:
        made = dataclasses.replace(made, batch=arguments.batch)
    configs = {step: _configured(made, case, step, arguments) for step in steps}
    state, batch = draw(configs[PLAIN], case, made)
    traces = {
        step: jax.jit(make(config, case, made)).trace(state, batch)
        for step, config in configs.items()
    }
    lowered = [trace.lower() for trace in traces.values()]
    with ThreadPoolExecutor() as pool:
        compiled = pool.map(lambda program: program.compile(), lowered)
        programs = dict(zip(steps, compiled, strict=True))
    rows, outputs = {}, {}
    for step, program in programs.items():
        # This is also the untimed first run.
        outputs[step] = jax.device_get(program(state, batch)[0])
        rows[step] = {
            "case": case,
            "engine": step,
            "size": arguments.size,
            "dtype": arguments.dtype,
            "batch": made.batch,
            "microbatch": configs[step].train.microbatch,
            "dropout": arguments.dropout,
            **_compiled_numbers(traces[step].jaxpr, program),
        }
    seconds: dict[str, list[float]] = {step: [] for step in steps}
    for _ in range(arguments.rounds):
        for step in steps:
            seconds[step].append(_timed(programs[step], state, batch))
    if arguments.profile:
        for step in steps:
            with jax.profiler.trace(arguments.profile / f"{case}-{step}"):
                _timed(programs[step], state, batch)
    reference = outputs.get(REFERENCE)
    for step, row in rows.items():
        ratios = np.array(seconds[step]) / np.array(seconds[PLAIN])
        row["seconds"] = float(np.median(seconds[step]))
        row["time_ratio"] = float(np.median(ratios))
        for name in ("flops", "xla_flops", "temp_bytes"):
            row[f"{name}_ratio"] = row[name] / max(rows[PLAIN][name], 1)
        row["samples_per_second"] = made.batch / row["seconds"]
        # As usual, of the plain step's operations: an engine's extra work does not count.
        row["utilisation"] = rows[PLAIN]["flops"] / row["seconds"] / peak
        row["relative_difference"] = (
            relative_difference(outputs[step], reference)
            if reference is not None and step != PLAIN
            else None
        )
    return list(rows.values())


def _configured(made: Size, case: str, step: str, arguments: argparse.Namespace) -> ConfigDict:
    config = configure(made, case, step)
    config.model.dtype = arguments.dtype
    for_vmap = arguments.vmap_microbatch if step == REFERENCE else 0
    config.train.microbatch = for_vmap or arguments.microbatch
    for place in ("dropout_rate", "attention_dropout_rate", "position_dropout_rate"):
        config.model[place] = arguments.dropout
    return config


def _compiled_numbers(trace: ClosedJaxpr, compiled: Any) -> dict[str, float]:
    analysis = compiled.cost_analysis() or {}
    memory = compiled.memory_analysis()
    return {
        "flops": count_traced(trace),
        # XLA counts the body of a loop once, regardless of its iterations.
        "xla_flops": float(analysis.get("flops", float("nan"))),
        "temp_bytes": int(memory.temp_size_in_bytes),
    }


def _timed(program: Any, state: Tree, batch: Tree) -> float:
    start = time.perf_counter()
    jax.block_until_ready(program(state, batch))
    return time.perf_counter() - start


def relative_difference(actual: Tree, expected: Tree) -> float:
    """Computes |actual - expected| / |expected|, in global norms."""
    difference = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), actual, expected)
    return float(optax.global_norm(difference) / optax.global_norm(expected))


def matrix_peak(dtype: str) -> float:
    """Measures the highest rate of large matrix products on this device.

    Args:
        dtype: dtype of the factors.

    Returns:
        Operations a second; a multiplication and an addition are two.
    """
    best = 0.0
    sizes = (1024, 2048) if jax.default_backend() == "cpu" else (4096, 8192)
    for n in sizes:
        # Random: a GPU multiplies equal numbers faster, because that draws less power.
        x, y = jax.random.normal(jax.random.key(0), (2, n, n), dtype)
        product = jax.jit(jnp.matmul).lower(x, y).compile()
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(3):
                last = product(x, y)
            last.block_until_ready()
            best = max(best, 3 * 2 * n**3 / (time.perf_counter() - start))
    return best


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers as text."""
    machine = numbers["machine"]
    lines = [
        f"{machine['device']}, {machine['cores']} cores, jax {machine['jax']}; "
        f"matrix products reach {machine['matrix_peak_flops_per_second'] / 1e9:,.0f} GFLOP/s",
        "ratios to the plain step of the same case",
        f"{'case':15}{'engine':16}{'step':>9}{'time':>7}{'FLOPs':>7}{'XLA':>7}{'memory':>8}"
        f"{'temp GiB':>10}{'samples/s':>11}{'util.':>7}{'differs':>10}",
    ]
    for row in numbers["rows"]:
        difference = row["relative_difference"]
        lines.append(
            f"{row['case']:15}{row['engine']:16}{row['seconds']:8.3f}s{row['time_ratio']:7.2f}"
            f"{row['flops_ratio']:7.2f}{row['xla_flops_ratio']:7.2f}{row['temp_bytes_ratio']:8.2f}"
            f"{row['temp_bytes'] / _GIB:10.3f}{row['samples_per_second']:11.2f}"
            f"{row['utilisation']:7.1%}"
            + (f"{difference:10.1e}" if difference is not None else f"{'':>10}")
        )
    return "\n".join(lines)
