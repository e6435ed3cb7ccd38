"""Names of parameters in any tree: dicts, lists, dataclasses, boxes, a State of flax.nnx."""

from typing import Any

import jax
from jax.tree_util import GetAttrKey, keystr

Tree = Any
Path = tuple[str, ...]


def paths_of(tree: Tree) -> list[Path]:
    """The path of names to each leaf, in the order of jax.tree.leaves.

    Args:
        tree: any tree that jax knows.

    Returns:
        Keys of dicts, names of attributes and numbers in lists, as strings. The `value` of a box
        (nn.Partitioned, nnx.Variable) is no name: a kernel in a box is called as without one.
    """
    found = [_names(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    if len(set(found)) < len(found):  # a node that gives several leaves one name
        found = [(*path, str(number)) for number, path in enumerate(found)]
    return found


def _names(path: tuple[Any, ...]) -> Path:
    if path and path[-1] == GetAttrKey("value"):
        path = path[:-1]
    return tuple(keystr((key,), simple=True) for key in path)


def named(path: Path) -> str:
    """A path as it is shown to people."""
    return "/".join(path) or "the parameters"
