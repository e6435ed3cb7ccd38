"""The training step on all devices of all hosts: the only file that uses pmap.

The state is replicated without a leading device axis; the batch has one. With several processes,
pmap's outputs are arrays on this host's devices only. They are made global before a checkpoint is
saved (`to_global`), and local again after a restore (`to_local`).
"""

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vatt_gh.errors import UserError
from vatt_gh.training.step import StepOutput, TrainState

AXIS = "batch"
_BLOCK = 2**28  # bytes that hosts exchange at a time: all of them pass through each device
T = TypeVar("T")
Step = Callable[[TrainState, dict[str, Any]], tuple[TrainState, StepOutput]]


def parallel_step(step: Step) -> Step:
    """Compiles a training step for all devices.

    Args:
        step: (state, batch of [b, ...] arrays) -> (state, report) on one device; reduces over AXIS.

    Returns:
        The same for a batch of [devices of this host, b, ...] arrays. The state's buffers are
        donated: the one passed in cannot be used again. The report's samples are [devices of this
        host, b].
    """
    return jax.pmap(
        step,
        axis_name=AXIS,
        in_axes=(None, 0),
        out_axes=(None, StepOutput(metrics=None, samples=0)),
        donate_argnums=(0,),
    )


def replicate(state: TrainState) -> TrainState:
    """Places a state on all devices of this host, as the compiled step expects it."""
    mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
    return jax.device_put(state, NamedSharding(mesh, PartitionSpec()))


def split(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Splits [local batch, ...] into [devices of this host, b, ...]."""
    devices = jax.local_device_count()
    return {name: x.reshape(devices, -1, *x.shape[1:]) for name, x in batch.items()}


def spread(arrays: Any) -> Any:
    """Places arrays [devices of this host * b, ...] on them, along the first axis."""
    mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
    return jax.device_put(arrays, NamedSharding(mesh, PartitionSpec(AXIS)))


def prefetch(
    batches: Iterable[tuple[dict[str, np.ndarray], Any]], size: int
) -> Iterator[tuple[dict[str, jax.Array], Any]]:
    """Moves batches to the devices ahead of their use.

    Args:
        batches: (arrays of this host's share, anything that stays on the host).
        size: number of batches in transfer at a time.

    Yields:
        The same, with arrays [devices of this host, b, ...] on the devices.
    """
    waiting = []
    for arrays, rest in batches:
        waiting.append((spread(split(arrays)), rest))
        if len(waiting) > size:
            yield waiting.pop(0)
    yield from waiting


def to_global(state: TrainState) -> TrainState:
    """Converts a replicated state to arrays on all hosts' devices, for checkpoints."""
    if jax.process_count() == 1:
        return state
    mesh = Mesh(np.array(jax.devices()), (AXIS,))
    return multihost_utils.host_local_array_to_global_array(state, mesh, PartitionSpec())


def to_local(state: TrainState) -> TrainState:
    """Inverts `to_global`."""
    if jax.process_count() == 1:
        return state
    mesh = Mesh(np.array(jax.devices()), (AXIS,))
    return multihost_utils.global_array_to_host_local_array(state, mesh, PartitionSpec())


def first_host_first(work: Callable[[], T]) -> T:
    """Does something on the first host, then on all others, which find what it has made.

    Raises:
        UserError: raised on the other hosts if the first one fails, which raises its own error.
    """
    if jax.process_index() != 0:
        if not from_first_host(True):
            raise UserError(
                "The first host has failed.",
                where=f"host {jax.process_index()}",
                expected="a first host that opens the input",
                todo="see what the first host says",
            )
        return work()
    done = False
    try:
        found = work()
        done = True
    finally:
        from_first_host(done)  # the others wait for this
    return found


def all_hosts(value: T) -> list[T]:
    """Exchanges a value that can be pickled; every host has to call this.

    Args:
        value: this host's value.

    Returns:
        The values of all hosts, in the order of hosts.
    """
    if jax.process_count() == 1:
        return [value]
    mine = np.frombuffer(pickle.dumps(value), np.uint8)
    # In two numbers: JAX has no integers of 64 bits, unless it is told to.
    sizes = multihost_utils.process_allgather(np.array(divmod(len(mine), 2**30), np.int32))
    lengths = [int(high) * 2**30 + int(low) for high, low in sizes.reshape(-1, 2)]
    blocks = []
    for begin in range(0, max(lengths), _BLOCK):
        block = mine[begin : begin + _BLOCK]
        padded = np.pad(block, (0, min(_BLOCK, max(lengths) - begin) - len(block)))
        blocks.append(multihost_utils.process_allgather(padded))
    rows = np.concatenate(blocks, axis=1)
    return [pickle.loads(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True)]


def from_first_host(mine: T) -> T:
    """Returns the first host's value; every host has to call this."""
    return all_hosts(mine)[0]
