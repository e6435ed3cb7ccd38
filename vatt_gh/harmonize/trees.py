"""Names of parameters in any tree: dicts, lists, dataclasses, boxes, or a flax.nnx State."""

from typing import Any

import jax
from flax import nnx
from flax.core.meta import AxisMetadata
from jax.tree_util import keystr

Tree = Any
ParamPath = tuple[str, ...]


def paths_of(tree: Tree) -> list[ParamPath]:
    """Lists the path of names to each leaf, in the order of jax.tree.leaves.

    Args:
        tree: any JAX pytree.

    Returns:
        Dict keys, attribute names and list indices, as strings. The `value` of a box
        (nn.Partitioned, nnx.Variable) adds no name: a boxed kernel is named as without a box.
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_box):
        boxed = jax.tree_util.tree_leaves_with_path(leaf) if _is_box(leaf) else [((), leaf)]
        found += [_names((*path, *inside[1:])) for inside, _ in boxed]  # the first is the box's own
    if len(set(found)) < len(found):  # a node that gives several leaves one name
        found = [(*path, str(number)) for number, path in enumerate(found)]
    return found


def by_path(tree: Tree) -> dict[ParamPath, Any]:
    """Returns the leaves of a tree, by their paths of names."""
    return dict(zip(paths_of(tree), jax.tree.leaves(tree), strict=True))


def tree_bytes(tree: Tree) -> int:
    """Counts the bytes of a tree's arrays, or of arrays of its shapes."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _is_box(node: Any) -> bool:
    return isinstance(node, (AxisMetadata, nnx.Variable))


def _names(path: tuple[Any, ...]) -> ParamPath:
    return tuple(keystr((key,), simple=True) for key in path)


def named(path: ParamPath) -> str:
    """Formats a path for display."""
    return "/".join(path) or "the whole tree"
