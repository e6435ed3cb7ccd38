"""The reader of row files: whole files, files of a killed run, damaged files."""

import json
import logging

import pytest

from vatt_gh.errors import UserError
from vatt_gh.report.jsonl import read_jsonl
from vatt_gh.report.run import write_report


def test_reads_rows_in_order_and_skips_blank_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.5}\n\n{"step": 2, "loss": null, "text": "\u00e9"}\n')
    assert read_jsonl(path) == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": None, "text": "é"}]


def test_last_row_without_newline_counts_where_it_is_whole(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}')
    assert [row["step"] for row in read_jsonl(path)] == [1, 2]
    assert not caplog.records


@pytest.mark.parametrize("cut", range(1, 18))
def test_unfinished_last_row_is_left_out_with_a_warning(tmp_path, caplog, cut):
    row = json.dumps({"id": "é", "x": 12}, ensure_ascii=False).encode()
    assert len(row) == 21
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + row[:cut])
    with caplog.at_level(logging.WARNING):
        assert read_jsonl(path) == [{"step": 1}]
    assert "line 2: unfinished" in caplog.text


@pytest.mark.parametrize("broken", ['{"step": 2, "lo', "[1, 2]", "7"])
def test_broken_row_before_the_end_names_file_and_line(tmp_path, broken):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{broken}\n{{"step": 3}}\n')
    with pytest.raises(UserError) as caught:
        read_jsonl(path)
    assert caught.value.where == f"{path}, line 2"


def test_broken_last_row_with_its_newline_is_no_interrupted_write(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo\n')
    with pytest.raises(UserError, match="line 2"):
        read_jsonl(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError) as caught:
        read_jsonl(tmp_path / "nothing.jsonl")
    assert caught.value.where == str(tmp_path / "nothing.jsonl")


def test_rows_of_something_else_are_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"loss": 1.0}\n')
    assert read_jsonl(path, ("loss",)) == [{"step": 1, "loss": 2.0}, {"loss": 1.0}]
    with pytest.raises(UserError, match="no 'step'") as caught:
        read_jsonl(path, ("loss", "step"))
    assert f"{path}, line 2" in str(caught.value)
    with pytest.raises(UserError, match="no 'samples_per_second'"):
        write_report(tmp_path)
