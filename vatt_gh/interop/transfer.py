"""Moves arrays between our parameter trees and a mapping of the original's names."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vatt_gh.errors import UserError
from vatt_gh.interop.names import (
    Names,
    is_pointwise_kernel,
    is_position_table,
    is_word_table,
)
from vatt_gh.models.interpolate import linear_matrix, spline_matrix

Tree = Any
Stretch = Literal["auto", "spline", "linear"]
_MATRICES = {"spline": spline_matrix, "linear": linear_matrix}
_LONG = 256  # rows; of the original's tables only those of waveforms have more


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of the variables of a checkpoint.

    Attributes:
        used: names that were read.
        stretched: those among them that are position tables of another length.
        unused: names of the checkpoint that the model has no place for.
        missing: names that the model has and the checkpoint lacks; these parameters are as before.
    """

    used: tuple[str, ...]
    stretched: tuple[str, ...]
    unused: tuple[str, ...]
    missing: tuple[str, ...]


def fill(
    template: Tree,
    names: Names,
    source: Mapping[str, np.ndarray],
    *,
    stretch: Stretch = "spline",
    stretches: Callable[[str], bool] = is_position_table,
) -> tuple[Tree, Report]:
    """Takes the values of a tree from named arrays.

    Args:
        template: nested dict of arrays; its shapes, dtypes and, for what is missing, values count.
        names: {path in the template: name}; paths without a name keep their values.
        source: arrays by name.
        stretch: how position tables [rows, d] of another length are fitted: 'spline' as the
            original does (solved in float64); 'linear', which stays within the table's values
            beyond its last row; or 'auto': linear for the long tables of waveforms, else spline.
        stretches: whether a name is that of a table that may be stretched.

    Returns:
        A tree like the template with numpy arrays, and the report.

    Raises:
        UserError: names the first variable whose shape does not fit.
    """
    values = flatten_dict(template)
    used, stretched, missing = [], [], []
    for path, name in names.items():
        if name not in source:
            missing.append(name)
            continue
        value, wanted = np.asarray(source[name]), values[path]
        if is_pointwise_kernel(name) and value.shape[:1] == (1,):
            value = value[0]
        if stretches(name) and value.shape[1:] == wanted.shape[1:]:
            if value.shape != wanted.shape:
                value = _stretched(value, wanted.shape[0], stretch)
                stretched.append(name)
        elif value.shape != wanted.shape:
            raise _misfit(name, value.shape, path, wanted.shape)
        values[path] = value.astype(wanted.dtype)
        used.append(name)
    unused = sorted(set(source) - set(used))
    report = Report(*(tuple(sorted(x)) for x in (used, stretched, unused, missing)))
    return unflatten_dict(values), report


def extract(tree: Tree, names: Names) -> dict[str, np.ndarray]:
    """The arrays of a tree by the original's names.

    Args:
        tree: nested dict of arrays.
        names: {path in the tree: name}.

    Returns:
        {name: array}.
    """
    values = flatten_dict(tree)
    arrays = {name: np.asarray(values[path]) for path, name in names.items()}
    return {n: x[None] if is_pointwise_kernel(n) else x for n, x in arrays.items()}


def _stretched(table: np.ndarray, rows: int, stretch: Stretch) -> np.ndarray:
    """[n, d] -> [rows, d] float64."""
    if stretch == "auto":
        stretch = "linear" if max(len(table), rows) > _LONG else "spline"
    return _MATRICES[stretch](len(table), rows) @ table.astype(np.float64)


def _misfit(name: str, theirs: tuple, path: tuple[str, ...], ours: tuple) -> UserError:
    todo = "set the model's sizes to those that the checkpoint was made with"
    if is_word_table(name):
        # Another row than in the checkpoint would be another word.
        todo = "use the vocabulary that the checkpoint was made with, "
        todo += f"a file of {theirs[0]} words: --config.data.vocabulary=FILE"
    return UserError(
        f"The checkpoint's {name} has shape {theirs}, the model's has {ours}.",
        where=f"{name} for {'/'.join(path)}",
        expected=f"shape {ours}",
        todo=todo,
    )
