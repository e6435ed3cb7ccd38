"""Position tables of different lengths, and arrays by name in both directions."""

import numpy as np
import pytest
from interop.by_name import extract

from vatt_gh.errors import UserError
from vatt_gh.interop.transfer import fill
from vatt_gh.models.interpolate import linear_matrix, spline_matrix

TABLE = "tx/temporal_position_embeddings/embeddings"
DENSE = "base_lm/conv1d/kernel"


def smooth(length):
    """[length, 2]: a slow wave and a straight line at the points i / length."""
    x = np.arange(length) / length
    return np.stack([np.sin(2 * np.pi * x), 3 * x - 1], axis=1).astype(np.float32)


@pytest.mark.parametrize("stretch", ["spline", "linear"])
@pytest.mark.parametrize(("rows", "length"), [(14, 20), (8, 5), (1200, 600), (300, 1200)])
def test_tables_are_stretched_between_the_same_points(stretch, rows, length):
    """Also for long tables, where the original's float32 solution is far off."""
    template = {"positions": np.zeros((length, 2), np.float32)}
    names = {("positions",): TABLE}
    filled, report = fill(template, names, {TABLE: smooth(rows)}, stretch=stretch)
    assert report.stretched == report.used == (TABLE,)
    inside = np.arange(length) / length <= (rows - 1) / rows
    tolerance = 0.08 if rows < 100 else 1e-3
    np.testing.assert_allclose(filled["positions"][inside], smooth(length)[inside], atol=tolerance)
    assert filled["positions"].dtype == np.float32


@pytest.mark.parametrize(("rows", "length", "expected"), [(14, 20, "spline"), (8, 300, "linear")])
def test_auto_is_linear_for_long_tables_alone(rows, length, expected):
    table = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    found = {
        stretch: fill(
            {"p": np.zeros((length, 2), np.float32)},
            {("p",): TABLE},
            {TABLE: table},
            stretch=stretch,
        )[0]["p"]
        for stretch in ("auto", "spline", "linear")
    }
    np.testing.assert_array_equal(found["auto"], found[expected])
    assert np.abs(found["spline"] - found["linear"]).max() > 1e-2


@pytest.mark.parametrize("matrix", [spline_matrix, linear_matrix])
def test_points_of_the_table_are_kept(matrix):
    noise = np.random.default_rng(0).normal(size=(400, 3))
    np.testing.assert_allclose((matrix(400, 800) @ noise)[::2], noise, atol=1e-6)


def test_linear_stretching_stays_within_the_table():
    """Also beyond the last point, where the spline extrapolates."""
    noise = np.random.default_rng(0).normal(size=(9, 3))
    stretched = linear_matrix(9, 31) @ noise
    assert (stretched <= noise.max(0) + 1e-12).all() and (stretched >= noise.min(0) - 1e-12).all()
    np.testing.assert_array_equal(stretched[-1], noise[-1])


def test_only_position_tables_are_stretched():
    template = {"words": np.zeros((4, 2), np.float32)}
    with pytest.raises(UserError, match=r"\(5, 2\).*\(4, 2\)"):
        fill(template, {("words",): "embedding/embeddings"}, {"embedding/embeddings": smooth(5)})
    with pytest.raises(UserError, match=r"\(5, 2\).*\(4, 3\)"):
        fill({"p": np.zeros((4, 3))}, {("p",): TABLE}, {TABLE: smooth(5)})


def test_extract_is_the_way_back():
    rng = np.random.default_rng(0)
    tree = {"a": {"kernel": rng.normal(size=(2, 3))}, "b": rng.normal(size=4)}
    names = {("a", "kernel"): DENSE, ("b",): "b/bias"}
    arrays = extract(tree, names)
    assert arrays[DENSE].shape == (1, 2, 3)  # the original has a convolution of width 1 over words
    zeros = {"a": {"kernel": np.zeros((2, 3))}, "b": np.zeros(4)}
    filled, report = fill(zeros, names, {**arrays, "other": np.zeros(1)})
    np.testing.assert_array_equal(filled["a"]["kernel"], tree["a"]["kernel"])
    np.testing.assert_array_equal(filled["b"], tree["b"])
    assert report.unused == ("other",) and report.missing == ()


def test_what_is_missing_stays_as_it_was():
    tree = {"a": np.ones(2), "b": np.ones(2)}
    filled, report = fill(tree, {("a",): "a", ("b",): "b"}, {"a": np.zeros(2)})
    np.testing.assert_array_equal(filled["b"], [1, 1])
    assert report.missing == ("b",) and report.used == ("a",)
