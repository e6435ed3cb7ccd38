"""Outputs of metrics: JSONL that survives a kill, TensorBoard, screen, and timer."""

import json
import re
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from vatt_gh.errors import UserError
from vatt_gh.training.metrics import Display, JsonLines, StepTimer, TensorBoard, to_row

ROW = {
    "step": 7,
    "loss": 1.25,
    "loss_va": 1.0,
    "loss_vt": 1.5,
    "conflict_rate": 0.5,
    "kept_share": 0.75,
    "samples_per_second": 12.34,
}


def test_rows_are_readable_before_the_file_is_closed(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = JsonLines(path, 0)
    rows.write({"step": 1, "name": "ä"})
    assert json.loads(path.read_text()) == {"step": 1, "name": "ä"}
    rows.close()


@pytest.mark.parametrize("tail", ["", '{"step": 2', '{"step": 2}', "{"])
def test_file_continues_after_the_step_of_the_checkpoint(tmp_path, tail):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n' + tail)
    rows = JsonLines(path, 2)
    rows.write({"step": 3, "again": True})
    rows.close()
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3, "again": true}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_start_from_the_beginning_drops_all_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"step": 1}\n')
    JsonLines(path, 0).close()
    assert path.read_text() == ""


def test_event_files_hold_the_scalars_at_their_steps(tmp_path):
    board = TensorBoard(tmp_path)
    board.write({"step": 5, "loss": 2.5, "empty_steps": 1, "cosine_histogram": [1, 2]})
    board.write({"step": 10, "loss": 1.5, "empty_steps": 1})
    board.close()
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    assert sorted(events.Tags()["tensors"]) == ["empty_steps", "loss"]
    stored = {
        tag: [(e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
        for tag in ("loss", "empty_steps")
    }
    assert stored == {"loss": [(5, 2.5), (10, 1.5)], "empty_steps": [(5, 1.0), (10, 1.0)]}


NUMBERS = "loss 1.250 (va 1.000, vt 1.500) conflict 50% kept 75% 12.3 samples/s"


def test_display_prints_one_line_a_row_where_there_is_no_terminal(capsys):
    display = Display(steps=200_000, done=0)
    display.show(ROW)
    display.show({**ROW, "step": 123_456})  # longer than the 80 columns that rich assumes
    display.close()
    assert capsys.readouterr().out == f"step 7 {NUMBERS}\nstep 123456 {NUMBERS}\n"


def test_display_in_a_terminal_of_80_columns_shows_step_and_losses(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    display = Display(steps=200_000, done=0)
    display.show({**ROW, "step": 123_456})
    display.close()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)
    last = shown.replace("\r", "\n").strip().splitlines()[-1]
    assert last.startswith("step 123456/200000 ")
    assert "loss 1.250 (va 1.000" in last


def test_clock_measures_steps_and_waiting():
    clock = StepTimer()
    time.sleep(0.05)
    clock.waited(0.01)
    clock.waited(0.015)
    lap = clock.lap(steps=5, samples=8)
    assert lap["step_seconds"] >= 0.05 / 5
    assert lap["samples_per_second"] == pytest.approx(8 / lap["step_seconds"])
    assert lap["data_wait_share"] == pytest.approx(0.025 / (5 * lap["step_seconds"]))
    second = clock.lap(steps=1, samples=8)
    assert second["step_seconds"] < 0.05  # the first stretch does not count again
    assert second["data_wait_share"] == 0


def test_row_holds_plain_numbers():
    metrics = {"loss": np.float32(0.5), "cosine_histogram": np.array([1, 2], np.int32)}
    row = to_row(3, metrics)
    assert row == {"step": 3, "loss": 0.5, "cosine_histogram": [1, 2]}
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize("row", [b"{", b"[1]", b'{"loss": 1}', b"\xff\xfe", b'{"step": "x"}'])
def test_a_broken_row_of_an_earlier_run_is_named(tmp_path, row):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + row + b'\n{"step": 3}\n')
    before = path.read_bytes()
    with pytest.raises(UserError) as error:
        JsonLines(path, 2)
    assert error.value.where == f"{path}, line 2"
    assert path.read_bytes() == before
