"""Writes our parameters as the original's code would: arrays by its names, and its checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from flax.traverse_util import flatten_dict

from vatt_gh.interop.names import Names, is_pointwise_kernel


def extract(tree: Any, names: Names) -> dict[str, np.ndarray]:
    """The arrays of a tree by the original's names."""
    values = flatten_dict(tree)
    arrays = {name: np.asarray(values[path]) for path, name in names.items()}
    return {n: x[None] if is_pointwise_kernel(n) else x for n, x in arrays.items()}


def write_checkpoint(directory: Path, arrays: Mapping[str, np.ndarray], step: int) -> str:
    """Writes an object graph with a variable at each name; returns its prefix."""
    root = tf.train.Checkpoint()
    for name, value in arrays.items():
        *path, leaf = name.split("/")
        node = root
        for part in path:
            if getattr(node, part, None) is None:
                setattr(node, part, tf.Module())
            node = getattr(node, part)
        setattr(node, leaf, tf.Variable(value))
    manager = tf.train.CheckpointManager(root, str(directory), max_to_keep=None)
    return manager.save(checkpoint_number=step)
