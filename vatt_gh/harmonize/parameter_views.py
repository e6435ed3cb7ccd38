"""Views of parameters as matrices or tables, after reshapes and transposes."""

import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class ParameterView:
    """A parameter after reshapes and transposes, which keep inner products of gradients.

    Attributes:
        result: shape after all steps; without steps, the parameter's own.
        steps: operations in order: ("reshape", shape before, shape after) or
            ("transpose", axes).
    """

    result: tuple[int, ...]
    steps: tuple[tuple, ...] = ()

    def reshaped(self, shape: Sequence[int]) -> "ParameterView":
        """Returns this view in another shape of the same size; consecutive reshapes become one."""
        before, shape, steps = self.result, tuple(shape), self.steps
        if steps and steps[-1][0] == "reshape":
            before, steps = steps[-1][1], steps[:-1]
        if shape != before:
            steps = (*steps, ("reshape", before, shape))
        return ParameterView(shape, steps)

    def transposed(self, axes: Sequence[int]) -> "ParameterView":
        """Returns this view with its axes in another order; consecutive transposes become one."""
        axes, steps = tuple(axes), self.steps
        result = tuple(self.result[a] for a in axes)
        if steps and steps[-1][0] == "transpose":
            axes, steps = tuple(steps[-1][1][a] for a in axes), steps[:-1]
        if axes != tuple(range(len(axes))):
            steps = (*steps, ("transpose", axes))
        return ParameterView(result, steps)

    def matrix(self, rows: Sequence[int], columns: Sequence[int]) -> "ParameterView":
        """Converts the view to a matrix.

        Args:
            rows, columns: axes of the view along the rows and along the columns; together all axes.

        Returns:
            A view with two axes.
        """
        sizes = [math.prod(self.result[a] for a in axes) for axes in (rows, columns)]
        return self.transposed((*rows, *columns)).reshaped(sizes)

    def undone(self, x: Array) -> Array:
        """Maps an array in the view's shape back to the parameter's shape.

        Args:
            x: array of shape `result`.

        Returns:
            The same numbers in the shape of the parameter.
        """
        for step in reversed(self.steps):
            x = x.reshape(step[1]) if step[0] == "reshape" else x.transpose(np.argsort(step[1]))
        return x
