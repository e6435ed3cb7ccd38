"""The drill's draws; what it tries takes too long to be a test."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from drill import drawn_faults
from drill_faults import FAULTS, POD, Run, killed
from tiny_run import ROOT


def test_a_short_drill_draws_its_kinds_too():
    drawn = [drawn_faults(FAULTS, 3, seed) for seed in range(60)]
    assert all(len({fault.__name__ for fault, _ in faults}) == 3 for faults in drawn)
    assert {fault.__name__ for faults in drawn for fault, _ in faults} == {
        fault.__name__ for fault, _ in FAULTS
    }
    assert drawn_faults(FAULTS, 3, 7) == drawn_faults(FAULTS, 3, 7)


def test_a_long_drill_has_each_kind_as_often_as_the_others():
    """In the order of the table in docs/reliability.md."""
    drawn = [fault.__name__ for fault, _ in drawn_faults(FAULTS, 50, 0)]
    assert drawn[:5] == ["not_finite", "stopped", "disk_full", "flipped", "flipped"]
    assert drawn[-3:] == ["cut", "cut", "interrupted"]
    assert {drawn.count(fault.__name__) for fault, _ in FAULTS} == {4, 5}
    assert sorted(drawn_faults(FAULTS[:4], 4, 1), key=FAULTS.index) == FAULTS[:4]


def test_any_host_of_a_pod_is_killed(tmp_path):
    first = {}
    for seed in range(4):
        run = Run(None, tmp_path, tmp_path, POD, random.Random(seed), log=tmp_path / f"{seed}")
        run.child = sleeping_pod(run.log)
        assert killed(run) == "status 137"
        first[seed] = "process 0 failed with status 137" in run.said()
        assert first[seed] or "process 1 failed with status 137" in run.said()
    assert set(first.values()) == {True, False}


def sleeping_pod(log):
    """Two processes that wait, as soon as both have said so."""
    options = ["--processes=2", "--devices=1", "--grace=1", "--module=pod_member", "--", "--sleep"]
    with log.open("w") as output:
        pod = subprocess.Popen(
            [sys.executable, ROOT / "launch" / "local_pod.py", *options],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent / "launch")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    while log.read_text().count("sleeping") < 2:
        assert pod.poll() is None, log.read_text()
        time.sleep(0.05)
    return pod
