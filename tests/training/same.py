"""Whether every device holds the same state; pmap itself does not check."""

from typing import Any

import jax
import numpy as np


def assert_same_on_all_devices(state: Any) -> None:
    """Names the first array that differs between this host's devices."""
    for path, array in jax.tree_util.tree_leaves_with_path(state):
        shards = [np.asarray(shard.data) for shard in array.addressable_shards]
        for other in shards[1:]:
            np.testing.assert_array_equal(shards[0], other, err_msg=jax.tree_util.keystr(path))
