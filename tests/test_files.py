"""Atomically written files, and messages for a full or forbidden disk."""

import errno
import os
from pathlib import Path

import pytest
import tensorflow as tf

from vatt_gh.errors import UserError
from vatt_gh.files import replacing, system_problem, system_problems_named, write_whole


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.json"
    write_whole(path, "old \u00e9\n")
    with replacing(path) as partial:
        assert partial.parent == tmp_path
        partial.write_text("half")
        assert path.read_text(encoding="utf-8") == "old \u00e9\n"
    assert path.read_text() == "half"
    with pytest.raises(RuntimeError), replacing(path) as partial:
        partial.write_text("other")
        raise RuntimeError
    assert path.read_text() == "half"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_what_a_killed_process_left_is_no_part_of_the_next_file(tmp_path):
    with replacing(tmp_path / "a") as left:
        left.write_text("")
    left.write_text("of a process that was killed")
    write_whole(tmp_path / "a", "new")
    assert not left.exists() and (tmp_path / "a").read_text() == "new"


def test_problems_of_the_system_are_named_and_others_pass(tmp_path):
    with (
        pytest.raises(UserError, match="The disk is full") as full,
        system_problems_named(tmp_path),
    ):
        Path("/dev/full").write_text("x")
    assert full.value.where == str(tmp_path)  # the system's error names no file
    mine = UserError("a", where="b", expected="c", todo="d")
    with pytest.raises(UserError) as caught, system_problems_named(tmp_path):
        raise mine
    assert caught.value is mine
    with pytest.raises(ValueError, match=r"^other$"), system_problems_named(tmp_path):
        raise ValueError("other")


def test_full_disk_is_known_through_other_libraries():
    full = tf.io.gfile.GFile("/dev/full", "w")
    full.write("x")
    with pytest.raises(tf.errors.ResourceExhaustedError) as error:
        full.close()
    assert "/dev/full" in system_problem(error.value).where
    wrapped = RuntimeError()  # without text, like errors of some libraries
    wrapped.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some/file")
    assert system_problem(wrapped).where == "some/file"
    assert system_problem(OSError(errno.ENOENT, os.strerror(errno.ENOENT))) is None


def test_what_nobody_may_write_gets_one_message():
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/etc/run")
    wrapped = RuntimeError("no checkpoint")
    wrapped.__context__ = denied
    for error in (denied, wrapped):
        problem = system_problem(error)
        assert problem.where == "/etc/run"
        assert "Permission denied" in problem.what
