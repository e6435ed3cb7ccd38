"""Shares an evaluation among hosts: each embeds some of the clips, and all know the results."""

import pickle
from typing import Any, TypeVar

import jax
import numpy as np
import tree
from jax.experimental import multihost_utils

from vatt_gh.data.clips import NUMBER

T = TypeVar("T")
Arrays = dict[str, Any]


def all_hosts(value: T) -> list[T]:
    """Exchanges a value that can be pickled; every host has to call this.

    Args:
        value: this host's.

    Returns:
        Every host's, in the order of hosts.
    """
    if jax.process_count() == 1:
        return [value]
    mine = np.frombuffer(pickle.dumps(value), np.uint8)
    lengths = multihost_utils.process_allgather(np.array(len(mine))).reshape(-1)
    padded = np.pad(mine, (0, lengths.max() - len(mine)))
    every = multihost_utils.process_allgather(padded)
    return [
        pickle.loads(row[:length].tobytes()) for row, length in zip(every, lengths, strict=True)
    ]


def gathered(parts: list[Arrays]) -> Arrays | None:
    """Joins all hosts' parts, in the order that one host alone would have.

    Args:
        parts: of this host: trees of arrays [n, ...] with the same keys, among them 'number'.

    Returns:
        One tree, sorted by 'number' (stable); None: no host has any.
    """
    every = [part for host in all_hosts(_joined(parts)) for part in host]
    if not every:
        return None
    (whole,) = _joined(every)
    order = np.argsort(whole[NUMBER], kind="stable")
    return tree.map_structure(lambda x: x[order], whole)


def _joined(parts: list[Arrays]) -> list[Arrays]:
    return [tree.map_structure(lambda *xs: np.concatenate(xs), *parts)] if parts else []
