"""How long a checkpoint keeps the training waiting, beside writing it whole, and its digests."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vatt_gh.config import default
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.digests import digests_of, names_of
from vatt_gh.training.optimizer import keras_adam
from vatt_gh.training.parallel import replicate
from vatt_gh.training.step import TrainState

_WIDTH = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the measurement's own arguments."""
    parser.add_argument("--millions", type=int, default=155, help="of parameters; default 155")
    parser.add_argument("--repeat", type=int, default=3, help="checkpoints; default 3")
    parser.add_argument("--folder", help="for the checkpoints; default: a temporary one")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Saves a state with Adam's moments several times, and reads the last one.

    Returns:
        The arguments, and the seconds of each: 'stall' until the training may go on, 'whole' until
        the checkpoint is on disk, 'digests' of them alone, 'restore'.
    """
    state = _state(arguments.millions)
    seconds: dict[str, list[float]] = {"stall": [], "whole": [], "digests": [], "restore": []}
    train = default().train

    def timed(name: str, began: float) -> None:
        seconds[name].append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for step in range(1, arguments.repeat + 2):
            with Checkpoints(Path(folder), train) as checkpoints:
                state = state.replace(step=jnp.int32(step))
                began = time.perf_counter()
                checkpoints.save(state, position=step)
                timed("stall", began)
                checkpoints.wait()
                timed("whole", began)
                began = time.perf_counter()
                digests_of(names_of(state))
                timed("digests", began)
        with Checkpoints(Path(folder), train) as checkpoints:
            began = time.perf_counter()
            checkpoints.restore(state)
            timed("restore", began)
    # The first one compiles.
    kept = {name: x[1:] if len(x) > 1 else x for name, x in seconds.items()}
    return {**vars(arguments), "seconds": kept}


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers of `run`."""
    median = {name: statistics.median(x) for name, x in numbers["seconds"].items()}
    return (
        f"{numbers['millions']} million parameters with Adam's moments: a checkpoint takes "
        f"{median['whole']:.2f} s, and the training waits {median['stall']:.2f} s of it "
        f"({median['stall'] / median['whole']:.0%}), of that {median['digests']:.2f} s for the "
        f"digests; reading and comparing takes {median['restore']:.2f} s"
    )


def _state(millions: int) -> TrainState:
    rng = np.random.default_rng(0)
    count = max(1, millions * 1_000_000 // _WIDTH**2)
    params = {f"layer_{n}": rng.standard_normal((_WIDTH, _WIDTH), np.float32) for n in range(count)}
    return replicate(
        TrainState(
            step=jnp.int32(0),
            params=params,
            statistics={},
            opt_state=keras_adam(lambda step: step * 1.0).init(params),
            key=jax.random.key_data(jax.random.key(0)),
            empty_steps=jnp.int32(0),
        )
    )
