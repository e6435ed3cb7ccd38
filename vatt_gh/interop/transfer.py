"""Moves arrays by the original's names into our parameter trees."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vatt_gh.errors import UserError
from vatt_gh.interop.names import (
    Names,
    NestedDict,
    is_pointwise_kernel,
    is_position_table,
    is_word_table,
)
from vatt_gh.models.interpolate import linear_matrix, spline_matrix

Resampling = Literal["auto", "spline", "linear"]
STRETCHES = get_args(Resampling)
_MATRICES = {"spline": spline_matrix, "linear": linear_matrix}
_WAVEFORM_ROWS = 256  # rows; in the original only waveform tables have more


@dataclasses.dataclass(frozen=True)
class Report:
    """How the variables of a checkpoint were used.

    Attributes:
        used: names that were read.
        stretched: names in `used` of position tables of another length.
        unused: names in the checkpoint without a place in the model.
        missing: names in the model but not in the checkpoint; these parameters are unchanged.
    """

    used: tuple[str, ...]
    stretched: tuple[str, ...]
    unused: tuple[str, ...]
    missing: tuple[str, ...]


def fill(
    template: NestedDict,
    names: Names,
    source: Mapping[str, np.ndarray],
    *,
    stretch: Resampling = "spline",
    stretches: Callable[[str], bool] = is_position_table,
) -> tuple[NestedDict, Report]:
    """Fills a tree with values from named arrays.

    Args:
        template: nested dict of arrays: gives shapes, dtypes and the values of missing parameters.
        names: {path in the template: name}; paths without a name keep their values.
        source: arrays by name.
        stretch: how position tables [rows, d] of another length are fitted: 'spline' as in the
            original (solved in float64); 'linear', which beyond the last row stays within the
            table's values; or 'auto': linear for the long waveform tables, else spline.
        stretches: whether a name means a table that may be stretched.

    Returns:
        A tree like the template with numpy arrays, and the report.

    Raises:
        UserError: a shape does not fit; names the first such variable.
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


def _stretched(table: np.ndarray, rows: int, stretch: Resampling) -> np.ndarray:
    """Resamples a table [n, d] -> [rows, d] float64."""
    if stretch == "auto":
        stretch = "linear" if max(len(table), rows) > _WAVEFORM_ROWS else "spline"
    return _MATRICES[stretch](len(table), rows) @ table.astype(np.float64)


def _misfit(name: str, theirs: tuple, path: tuple[str, ...], ours: tuple) -> UserError:
    todo = "set the model's sizes to those that the checkpoint was made with"
    if is_word_table(name):
        # A row other than the checkpoint's would be another word.
        todo = "use the vocabulary that the checkpoint was made with, "
        todo += f"a file of {theirs[0]} words: --config.data.vocabulary=FILE"
    return UserError(
        f"The checkpoint's {name} has shape {theirs}, the model's has {ours}.",
        where=f"{name} for {'/'.join(path)}",
        expected=f"shape {ours}",
        todo=todo,
    )
