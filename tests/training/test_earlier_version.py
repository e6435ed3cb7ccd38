"""Continues a work directory of an earlier version.

Its name contains the commit that wrote it: four steps of the run of tiny_run.py.
"""

import json
import tarfile
from pathlib import Path

import pytest
from tiny_run import STOP, checkpoints_of, rows_of

from vatt_gh.errors import UserError
from vatt_gh.training.loop import pretrain

ARCHIVE = Path(__file__).with_name("workdir_of_66a71d1.tar.xz")


@pytest.fixture
def workdir(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "workdir"


def test_it_is_continued_as_if_nothing_had_changed(tiny, whole, workdir):
    before = (workdir / "config.json").read_bytes()
    assert "short" in json.loads(before), "a key that is gone since"
    state = pretrain(tiny.config(), workdir, stop_after=STOP)
    assert int(state.step) == STOP and checkpoints_of(workdir)[-1] == STOP
    assert (workdir / "config.json").read_bytes() == before
    ours, theirs = rows_of(workdir / "metrics.jsonl"), rows_of(whole[0] / "metrics.jsonl")
    assert [row["step"] for row in ours] == [2, 4, 6]
    for row, expected in zip(ours, theirs, strict=True):
        assert row.keys() == expected.keys()
        # Another processor rounds differently, and every step amplifies this.
        for name in ("loss", "loss_va", "loss_vt", "cosine_mean"):
            assert row[name] == pytest.approx(expected[name], abs=0.05)


def test_another_configuration_is_refused_by_the_keys_of_today(tiny, workdir):
    with pytest.raises(UserError, match="another configuration") as error:
        pretrain(tiny.config(**{"loss.audio_text_weight": 1.0}), workdir, stop_after=STOP)
    lines = [line.strip() for line in error.value.expected.splitlines()[1:]]
    assert lines == ["loss.audio_text_weight: there 0.0, now 1.0"]
