"""Steps that are not finite: left out and counted where train.skip_nonfinite allows it."""

import json

import numpy as np
import pytest
from tiny_run import assert_same_state

from vatt_gh.data.pipeline import training_batches
from vatt_gh.training import loop
from vatt_gh.training.loop import pretrain

BROKEN = 5


@pytest.fixture
def changed(monkeypatch):
    """A function that changes the batches of some steps."""

    def change(steps, how):
        def batches(*args, position, **kwargs):
            given = training_batches(*args, position=position, **kwargs)
            for number, (arrays, host) in enumerate(given, start=position // 8 + 1):
                yield (how(arrays) if number in steps else arrays), host

        monkeypatch.setattr(loop, "training_batches", batches)

    return change


def without_numbers(arrays):
    mask = np.ones_like(arrays["audio_mask"])
    return arrays | {"audio": np.full_like(arrays["audio"], np.nan), "audio_mask": mask}


def without_samples(arrays):
    masks = ("video_mask", "audio_mask", "text_mask")
    return arrays | {name: np.zeros_like(arrays[name]) for name in masks}


def test_a_step_without_numbers_changes_nothing_and_is_counted(tiny, tmp_path, changed, capsys):
    """Against a run whose step has no sample at all."""
    config = tiny.config(**{"train.skip_nonfinite": 2})
    changed({BROKEN}, without_numbers)
    state = pretrain(config, tmp_path / "skipped", stop_after=4)
    assert "left out" not in capsys.readouterr().out
    state = pretrain(config, tmp_path / "skipped", stop_after=8)
    assert f"left out: step {BROKEN}: " in capsys.readouterr().out
    changed({BROKEN}, without_samples)
    other = pretrain(config, tmp_path / "empty", stop_after=8)
    assert int(state.empty_steps) == 0 and int(other.empty_steps) == 1
    assert_same_state(state, other.replace(empty_steps=state.empty_steps))
    text = (tmp_path / "skipped" / "metrics.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    counted = {row["step"]: row["skipped_steps"] for row in rows}
    assert counted == {2: 0, 4: 0, BROKEN: 1, 6: 1, 8: 1} and "NaN" not in text
    assert "NaN" not in (tmp_path / "skipped" / "samples.jsonl").read_text()


@pytest.mark.parametrize("log_every", [1, 10])
def test_one_more_than_is_allowed_ends_the_run_also_after_a_restart(
    tiny, tmp_path, changed, log_every
):
    """Also where the step that was left out is none of those that are logged."""
    config = tiny.config(**{"train.skip_nonfinite": 1, "train.log_every": log_every})
    changed({3, 6}, without_numbers)
    pretrain(config, tmp_path, stop_after=4)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    rows = {row["step"]: row for row in map(json.loads, lines)}
    assert [*rows] == ([1, 2, 3, 4] if log_every == 1 else [3])
    assert rows[3]["loss"] is None and rows[3]["skipped_steps"] == 1
    with pytest.raises(FloatingPointError, match="step 6"):
        pretrain(config, tmp_path)


def test_none_is_allowed_by_default(tiny, tmp_path, changed):
    changed({BROKEN}, without_numbers)
    with pytest.raises(FloatingPointError, match=f"step {BROKEN}"):
        pretrain(tiny.config(), tmp_path)
