"""The measurement of the fused attention, in Pallas' interpreter: times are meaningless here."""

import argparse

import pytest

from vatt_gh.bench.__main__ import main
from vatt_gh.bench.attention import measure, show

SMALL = argparse.Namespace(batch=3, tokens=9, heads=2, width=16, dropout=0.1, rounds=1)


def test_rows_have_times_and_errors():
    found = measure(SMALL)
    rows = {row["way"]: row for row in found["rows"]}
    assert list(rows) == ["fused", "formula", "formula, JAX's own bits"]
    assert all(row["forward"] > 0 and row["both"] > 0 for row in rows.values())
    assert rows["fused"]["both_ratio"] == 1
    for way in ("fused", "formula"):
        errors = rows[way]["errors"]
        assert len(errors) == 4 and all(1e-4 < error < 1e-2 for error in errors), errors
    assert "errors" not in rows["formula, JAX's own bits"]
    assert "attention of 9 tokens, 2 heads of 16, dropout 0.1, on cpu" in show(found)


def test_without_a_gpu_it_says_so(capsys):
    with pytest.raises(SystemExit) as end:
        main(["attention"])
    assert end.value.code == 2
    assert "jax.default_backend() is cpu" in capsys.readouterr().err
