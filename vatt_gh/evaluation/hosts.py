"""Shares an evaluation among hosts: each embeds some of the clips, and all know the results."""

from typing import Any

import numpy as np
import tree

from vatt_gh.data.clips import NUMBER
from vatt_gh.training.parallel import all_hosts

Arrays = dict[str, Any]


def of_all_hosts(parts: list[Arrays]) -> Arrays | None:
    """Joins all hosts' parts, in the order that one host alone would have.

    Args:
        parts: parts of this host: trees of arrays [n, ...] with the same keys, among them 'number'.

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
