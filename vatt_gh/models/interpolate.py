"""Resizes position tables: the original's polyharmonic spline, solved in float64.

The original solves the spline's linear system in float32, which is ill-conditioned (errors of
0.5 and more on long tables). The interpolation is linear in the table, so it is one matrix that
depends only on the two lengths; it is computed on the host in float64.
"""

import functools

import numpy as np


@functools.cache
def spline_matrix(rows: int, length: int) -> np.ndarray:
    """Makes the matrix of the cubic polyharmonic spline from points i/rows to points j/length.

    The spline is sum_i w_i phi(|x - c_i|^2) + v_1 x + v_0 with phi(r2) = max(r2, 1e-10)^1.5, its
    w orthogonal to 1 and x (tfa.image.interpolate_spline, order 3, no regularisation).

    Args:
        rows: number of rows of the table, at least 2.
        length: number of output rows.

    Returns:
        [length, rows] float64; matrix @ table is the resized table.

    Raises:
        ValueError: a table of fewer than two rows cannot be resized.
    """
    if rows < 2:
        raise ValueError(f"a position table of {rows} row(s) cannot be stretched to {length} rows")
    points = np.arange(rows, dtype=np.float64) / rows
    queries = np.arange(length, dtype=np.float64) / length
    linear = np.stack([points, np.ones(rows)], axis=1)
    system = np.zeros((rows + 2, rows + 2))
    system[:rows, :rows] = _phi(points[:, None] - points[None, :])
    system[:rows, rows:] = linear
    system[rows:, :rows] = linear.T
    values = np.concatenate([np.eye(rows), np.zeros((2, rows))])
    coefficients = np.linalg.solve(system, values)
    basis = np.concatenate(
        [_phi(queries[:, None] - points[None, :]), queries[:, None], np.ones((length, 1))], axis=1
    )
    return basis @ coefficients


def linear_matrix(rows: int, length: int) -> np.ndarray:
    """Makes the matrix of linear interpolation between these points; constant after the last one.

    Args:
        rows: number of rows of the table.
        length: number of output rows.

    Returns:
        [length, rows] float64; matrix @ table is the resized table.
    """
    queries = np.arange(length, dtype=np.float64) * rows / length
    hats = 1.0 - np.abs(np.minimum(queries, rows - 1)[:, None] - np.arange(rows)[None, :])
    return np.maximum(hats, 0.0)


def _phi(distance: np.ndarray) -> np.ndarray:
    return np.maximum(distance**2, 1e-10) ** 1.5
