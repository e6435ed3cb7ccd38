"""Views of parameters: the steps to a matrix, and back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vatt_gh.harmonize.parameter_views import ParameterView


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_a_view_is_undone(data):
    x = np.arange(24)
    shapes = [(24,), (2, 12), (4, 6), (2, 3, 4), (1, 24), (2, 1, 12), (3, 2, 2, 2)]
    x = x.reshape(data.draw(st.sampled_from(shapes)))
    view, seen = ParameterView(x.shape), x
    for _ in range(data.draw(st.integers(0, 5))):
        if data.draw(st.booleans()):
            shape = data.draw(st.sampled_from(shapes))
            view, seen = view.reshaped(shape), seen.reshape(shape)
        else:
            axes = data.draw(st.permutations(range(seen.ndim)))
            view, seen = view.transposed(axes), seen.transpose(axes)
    assert view.result == seen.shape
    np.testing.assert_array_equal(view.undone(seen), x)


def test_equal_ways_are_equal_views():
    turned = ParameterView((4, 6)).transposed((1, 0))
    assert turned.transposed((1, 0)) == ParameterView((4, 6))
    assert ParameterView((4, 6)).reshaped((2, 12)).reshaped((4, 6)) == ParameterView((4, 6))
    assert turned.matrix((0,), (1,)) == ParameterView((4, 6)).matrix((1,), (0,))
    assert turned.matrix((0,), (1,)) != ParameterView((4, 6)).reshaped((6, 4))
