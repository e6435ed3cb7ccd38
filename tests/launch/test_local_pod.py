"""The local pod: its processes form one JAX cluster, and none outlives a failure or Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).parents[2] / "launch" / "local_pod.py"
POD = [sys.executable, str(LAUNCHER), "--processes=2", "--devices=2", "--module=pod_member"]
# The parent of the test program, not the repository root, so that nothing else is found.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*POD, *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_processes_reduce_over_all_devices(tmp_path):
    answer = run(tmp_path, "--", "--config=x")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    # 0 and 1 from process 0, 10 and 11 from process 1
    for index in (0, 1):
        assert f"[{index}] process {index} of 2, 2 devices: [22, 22]" in answer.stdout.splitlines()


def test_failure_stops_the_others_and_gives_its_status(tmp_path):
    start = time.monotonic()
    answer = run(tmp_path, "--grace=1", "--", "--fail")
    assert answer.returncode == 7
    assert "process 1 failed with status 7" in answer.stderr
    assert "survived" not in answer.stdout
    assert time.monotonic() - start < 25  # alone, process 0 would wait for its peer for 30 s


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_stops_all_processes(tmp_path, signum):
    with subprocess.Popen(
        [*POD, "--", "--sleep"], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as launcher:
        lines = [launcher.stdout.readline() for _ in range(2)]
        pids = [int(re.fullmatch(r"\[[01]\] sleeping (\d+)\n", line)[1]) for line in lines]
        assert all(is_running(pid) for pid in pids)
        launcher.send_signal(signum)
        assert launcher.wait(timeout=20) == 128 + signum
    assert not any(is_running(pid) for pid in pids)


@pytest.mark.parametrize("options", [[], ["--processes=2"], ["--processes=0", "--devices=1"]])
def test_wrong_options_are_refused(options):
    answer = subprocess.run(
        [sys.executable, str(LAUNCHER), *options], capture_output=True, text=True, timeout=20
    )
    assert answer.returncode == 2
    assert "usage: local_pod.py" in answer.stderr
