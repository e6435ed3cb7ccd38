"""How much a sketch changes the cosines of samples, and what follows for the samples.

A video tower of the size `third` with the given depth, initial parameters and random clips, under
two contrastive losses; one draw of the signs.
"""

import argparse
import dataclasses
from typing import Any

import jax
import numpy as np

from vatt_gh.bench.cases import SKETCHING, configure, draw, make, third


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this measurement's arguments to the command line."""
    parser.add_argument("--sizes", nargs="+", type=int, default=[64], help="sizes of the sketch")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--microbatch", type=int, default=8, help="divides the samples")
    parser.add_argument("--gammas", nargs="+", type=float, default=[-0.3, 0.0])


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures with the command line's arguments.

    Args:
        arguments: the parsed command line, see `add_arguments`.

    Returns:
        {"rows": [errors and flips for each sketch size], "layers", "samples", ...}.
    """
    size = third(arguments.width, arguments.layers, arguments.samples)
    # Only the video tower runs: the others' sizes would only cost memory.
    model = {**size.model, "audio.layers": 1, "text.layers": 1}
    size = dataclasses.replace(size, model=model)
    config = configure(size, "video_tower", SKETCHING[0])
    config.train.microbatch = arguments.microbatch
    given = draw(config, "video_tower", size)

    def cosines(sketch: int) -> np.ndarray:
        config.harmonize.sketch = sketch
        _, coefficients = jax.jit(make(config, "video_tower", size))(*given)
        return np.asarray(coefficients.cosine)

    exact = cosines(0)
    rows = [compared(exact, cosines(k), k, arguments.gammas) for k in arguments.sizes]
    spread = [float(x) for x in np.quantile(exact, (0.0, 0.25, 0.5, 0.75, 1.0))]
    return {"rows": rows, "exact_quartiles": spread, **vars(arguments)}


def compared(exact: np.ndarray, near: np.ndarray, size: int, gammas: list[float]) -> dict[str, Any]:
    """Measures errors of the cosines, and the shares of samples for which they matter.

    Args:
        exact: [N] cosines.
        near: [N] cosines from the sketch.
        size: size of the sketch.
        gammas: thresholds of the curriculum to try.

    Returns:
        Largest and root mean square error, the share of samples whose cosine changes its sign, and
        by threshold the share that is wrongly kept or wrongly dropped.
    """
    error = np.abs(near - exact)
    return {
        "sketch": size,
        "largest_error": float(error.max()),
        "rms_error": float(np.sqrt(np.mean(error**2))),
        "sign_flips": float(np.mean((near < 0) != (exact < 0))),
        "decision_flips": {str(g): float(np.mean((near > g) != (exact > g))) for g in gammas},
    }


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers as text."""
    quartiles = ", ".join(f"{x:+.3f}" for x in numbers["exact_quartiles"])
    lines = [
        f"{numbers['layers']} layers of width {numbers['width']}, {numbers['samples']} samples; "
        f"exact cosines, quartiles: {quartiles}"
    ]
    for row in numbers["rows"]:
        flips = ", ".join(f"{share:.1%} at {g}" for g, share in row["decision_flips"].items())
        lines.append(
            f"  sketch={row['sketch']}: largest error {row['largest_error']:.3f}, root mean square "
            f"{row['rms_error']:.4f}; another sign {row['sign_flips']:.1%}, "
            f"another decision {flips}"
        )
    return "\n".join(lines)
