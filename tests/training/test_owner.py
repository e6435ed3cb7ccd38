"""A work directory has one owner."""

import contextlib
import errno
import json
import os
import subprocess
import sys

import pytest
from tiny_run import rows_of

from vatt_gh import locks
from vatt_gh.errors import UserError
from vatt_gh.locks import claimed
from vatt_gh.training import claims
from vatt_gh.training.claims import OWNER, owned
from vatt_gh.training.loop import pretrain


def test_a_directory_in_use_is_refused_and_says_by_whom(tiny, tmp_path):
    workdir = tmp_path / "run"
    pretrain(tiny.config(), workdir, stop_after=2)
    held = f"""
import sys, time
from pathlib import Path
from vatt_gh.training.claims import owned
with owned(Path({str(workdir)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", held],
        env=tiny.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {other.pid} on .*, since 20"):
            pretrain(tiny.config(), workdir, stop_after=4)
        rows = rows_of(workdir / "metrics.jsonl")
        assert [row["step"] for row in rows] == [2]  # the refused one has touched nothing
    finally:
        other.communicate("")
    pretrain(tiny.config(), workdir, stop_after=4)
    with owned(workdir):  # and is free again
        pass


def test_of_two_trainings_that_begin_in_a_directory_the_owner_gives_the_configuration(
    tiny, tmp_path
):
    with owned(tmp_path / "run"), pytest.raises(UserError, match="Another process is training"):
        pretrain(tiny.config(seed=2), tmp_path / "run", stop_after=0)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [OWNER]
    pretrain(tiny.config(), tmp_path / "run", stop_after=0)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="cannot be created"):
        pretrain(tiny.config(), tmp_path / "file")


@pytest.mark.parametrize("change", [{"host": "another"}, {"boot": "another"}])
def test_the_lock_of_a_machine_that_is_gone_is_waited_for(tmp_path, monkeypatch, change):
    """A pod that replaces a lost one may have its name, but not its machine."""
    with owned(tmp_path):
        mine = json.loads((tmp_path / OWNER).read_text())
    with contextlib.ExitStack() as lost:
        lost.enter_context(claimed(tmp_path / OWNER, json.dumps(mine | change)))
        monkeypatch.setattr(claims.time, "sleep", lambda seconds: lost.close())
        with owned(tmp_path):
            assert json.loads((tmp_path / OWNER).read_text()).keys() == mine.keys()


@pytest.mark.parametrize("without", [(), ("boot",)])  # of an earlier version
def test_the_lock_of_this_machine_is_not_waited_for(tmp_path, monkeypatch, without):
    with owned(tmp_path):
        mine = json.loads((tmp_path / OWNER).read_text())
    theirs = {name: value for name, value in mine.items() if name not in without}
    monkeypatch.setattr(claims.time, "sleep", lambda seconds: pytest.fail("it waits"))
    with (
        claimed(tmp_path / OWNER, json.dumps(theirs)),
        pytest.raises(UserError, match=f"process {os.getpid()} on .*, since 20"),
        owned(tmp_path),
    ):
        pass


def test_a_disk_without_locks_is_named(tmp_path, monkeypatch, capfd):
    def none(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", none)
    left = []
    with (
        claimed(tmp_path / "a.lock") as mine,
        locks.locked(tmp_path / "b.lock"),
        locks.shared(tmp_path / "c.lock", lambda: left.append("called")),
    ):
        assert mine and left == ["called"]
    said = capfd.readouterr().err
    assert said.count(f"{tmp_path}: this file system has no locks") == 1
