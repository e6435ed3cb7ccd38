"""How long saving a checkpoint delays training, and how long it takes while training is paused."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from vatt_gh.config import default
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.construct import optimizer_of
from vatt_gh.training.digests import PendingMetadata, names_of
from vatt_gh.training.parallel import replicate
from vatt_gh.training.step import TrainState

_WIDTH = 1024
_BATCH = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the measurement's own arguments."""
    parser.add_argument(
        "--millions", type=int, default=155, help="millions of parameters; default 155"
    )
    parser.add_argument("--repeat", type=int, default=3, help="number of checkpoints; default 3")
    parser.add_argument("--folder", help="folder for the checkpoints; default: a temporary one")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Saves a state with Adam's moments several times, and reads the last one.

    Returns:
        The arguments, and the seconds of each: 'stall' until the training may go on, 'lost' until
        a forward pass that follows is finished, beyond what it takes alone, 'synchronous' until a
        checkpoint is on disk while nothing else is done, 'digests' for digests alone, 'restore'.
    """
    flags.FLAGS.mark_as_parsed()  # as in a run: Orbax is slower where it cannot read its flags
    state = _state(arguments.millions)
    names = ("stall", "lost", "synchronous", "digests", "restore")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    train = default().train
    _forward(state.params).block_until_ready()

    def timed(name: str, began: float) -> None:
        seconds[name].append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for step in range(1, arguments.repeat + 2):
            with Checkpoints(Path(folder), train) as checkpoints:
                began = time.perf_counter()
                checkpoints.save(state.replace(step=jnp.int32(2 * step)), position=step)
                checkpoints.wait()
                timed("synchronous", began)
                state = state.replace(step=jnp.int32(2 * step + 1))
                began = time.perf_counter()
                _forward(state.params).block_until_ready()
                alone = time.perf_counter() - began
                began = time.perf_counter()
                checkpoints.save(state, position=step)
                timed("stall", began)
                _forward(state.params).block_until_ready()
                timed("lost", began + alone)
                checkpoints.wait()
                began = time.perf_counter()
                described = PendingMetadata({}, names_of(state))
                described.start()
                described.finish()
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
        f"{numbers['millions']} million parameters with Adam's moments: saved while nothing else "
        f"is done a checkpoint takes {median['synchronous']:.2f} s; in the background the training "
        f"waits {median['stall']:.2f} s for it ({median['stall'] / median['synchronous']:.0%}), "
        f"{median['lost']:.2f} s with what the next forward pass loses; digests alone take "
        f"{median['digests']:.2f} s, reading and comparing {median['restore']:.2f} s"
    )


@jax.jit
def _forward(params: dict[str, jax.Array]) -> jax.Array:
    """Uses all parameters once: [64, width] through all layers."""
    x = jnp.ones((_BATCH, _WIDTH))
    for weights in params.values():
        x = jnp.tanh(x @ weights)
    return x


def _state(millions: int) -> TrainState:
    rng = np.random.default_rng(0)
    count = max(1, millions * 1_000_000 // _WIDTH**2)
    params = {f"layer_{n}": rng.standard_normal((_WIDTH, _WIDTH), np.float32) for n in range(count)}
    return replicate(
        TrainState(
            step=jnp.int32(0),
            params=params,
            statistics={},
            opt_state=optimizer_of(default().train).init(params),
            key=jax.random.key_data(jax.random.key(0)),
            empty_steps=jnp.int32(0),
        )
    )
