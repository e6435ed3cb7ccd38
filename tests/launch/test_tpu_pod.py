"""The TPU launcher: its printed commands, their quoting, its rejections, its calls of gcloud.

No test can reach a cloud: a small stand-in for gcloud, which logs its calls, hides any real one.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "tpu_pod.sh"
BASH = shutil.which("bash")
REQUIRED = {
    "name": "my 'pod",
    "zone": "us-central2-b",
    "type": "v4-32",
    "version": "tpu-ubuntu2204-base",
    "config": "configs/demo.py",
    "workdir": "/mnt/shared/a run",
}
URL = "--repo=https://example.org/vatt_gh.git"
EXTRA = ["--config.title=it's $HOME", ""]

# Answers "describe" with the next line of $STATE, at the end with the last one again, and fails
# where that is an error. Of the calls with $FAILING in them the first $FAILURES end with 75.
GCLOUD = """#!/usr/bin/env python3
import os, sys
log = open(os.environ["CALLS"], "a+")
log.seek(0)
before = log.read().split()
log.write(sys.argv[4] + "\\n")
if sys.argv[4] == "describe":
    states = os.environ["STATE"].splitlines()
    state = states[min(before.count("describe"), len(states) - 1)]
    print(state)
    sys.exit(state.startswith("ERROR"))
if os.environ.get("FAILING", "nothing") in " ".join(sys.argv):
    with open(os.environ["CALLS"] + ".failures", "a+") as failures:
        failures.seek(0)
        if len(failures.read()) < int(os.environ["FAILURES"]):
            failures.write("x")
            sys.exit(75)
"""


@pytest.fixture(autouse=True)
def calls(tmp_path, monkeypatch) -> Path:
    """Puts the stand-in before any real gcloud; returns its log of calls."""
    gcloud = tmp_path / "bin" / "gcloud"
    gcloud.parent.mkdir()
    gcloud.write_text(GCLOUD)
    gcloud.chmod(0o755)
    sleep = gcloud.with_name("sleep")
    sleep.write_text("#!/bin/sh\nprintf 'sleep\\n' >>\"$CALLS\"\n")
    sleep.chmod(0o755)
    monkeypatch.setenv("PATH", f"{gcloud.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("STATE", "ERROR: not to be called")
    return tmp_path / "calls"


def flags(**changes: str | None) -> list[str]:
    values = REQUIRED | changes
    return [f"--{name}={value}" for name, value in values.items() if value is not None]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BASH, str(SCRIPT), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=20,
    )


def printed(*arguments: str) -> list[list[str]]:
    """The printed commands, each parsed as by a shell."""
    answer = run("--dry-run", *arguments)
    assert answer.returncode == 0, answer.stderr
    return [shlex.split(line) for line in answer.stdout.splitlines()]


def remote(command: list[str]) -> str:
    """The shell line that a printed command runs on the workers."""
    assert command[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "ssh", REQUIRED["name"]]
    assert {"--zone=us-central2-b", "--worker=all"} <= set(command)
    (line,) = (word for word in command if word.startswith("--command="))
    return line.removeprefix("--command=")


def test_syntax():
    assert subprocess.run([BASH, "-n", str(SCRIPT)], check=False).returncode == 0


def test_dry_run_prints_each_step_for_a_checkout(calls):
    describe, create, archive, copy, unpack, install, train = printed(*flags())
    tpu = ["gcloud", "compute", "tpus", "tpu-vm"]
    assert describe == [
        *tpu,
        "describe",
        "my 'pod",
        "--zone=us-central2-b",
        "--format=value(state)",
    ]
    assert create[4:6] == ["create", "my 'pod"]
    assert {"--accelerator-type=v4-32", "--version=tpu-ubuntu2204-base"} <= set(create)
    assert archive[:4] == ["git", "-C", str(SCRIPT.parents[1]), "archive"]
    assert archive[-1] == "HEAD"
    packed = archive[-2].removeprefix("--output=")
    assert copy[:7] == [*tpu, "scp", packed, "my 'pod:"]
    assert "--worker=all" in copy
    assert f"tar -xzf ~/{Path(packed).name}" in remote(unpack)
    assert "-c constraints.txt 'jax[tpu]' '.[train]'" in remote(install)
    assert "-m vatt_gh.main --distributed --config=configs/demo.py" in remote(train)
    assert not calls.exists()


def test_dry_run_clones_a_url_at_its_ref():
    clone = remote(printed(*flags(), URL, "--ref=a branch")[2])
    assert "git clone --quiet https://example.org/vatt_gh.git ~/vatt_gh" in clone
    assert clone.endswith("checkout --quiet 'a branch'")


def test_values_may_follow_their_flags():
    apart = [word for flag in flags() for word in flag.split("=", 1)]
    assert printed(*apart, URL) == printed(*flags(), URL)


def test_workers_start_main_with_the_flags_as_given(tmp_path):
    # Runs a worker's command in this machine's shell; the program prints its arguments.
    (tmp_path / "vatt_gh").mkdir()
    python = tmp_path / "vatt_gh_env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'import sys; print(sys.argv); sys.exit(3)' \"$@\"\n"
    )
    python.chmod(0o755)
    line = remote(printed(*flags(), "--", *EXTRA)[-1])
    answer = subprocess.run(
        [BASH, "-c", line],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    main = ["-m", "vatt_gh.main", "--distributed", "--config=configs/demo.py"]
    expected = ["-c", *main, "--workdir=/mnt/shared/a run", *EXTRA]
    assert answer.stdout == f"{expected}\n"
    assert (tmp_path / "vatt_gh.log").read_text() == answer.stdout
    assert answer.returncode == 3


@pytest.mark.parametrize("missing", REQUIRED)
def test_missing_flags_are_named(missing):
    answer = run(*flags(**{missing: None}), "--dry-run")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"missing: --{missing} " in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*flags(workdir="gs://bucket/run")], "must start with /, found gs://bucket/run"),
        ([*flags(), "--nmae=x"], "unknown option --nmae"),
        ([*flags(), "two words"], "unexpected argument 'two words'"),
        ([*flags(), "--ref"], "--ref needs a value"),
        ([*flags(), "--ref", "--dry-run"], "--ref needs a value"),
        ([*flags(), "--restarts=often"], "--restarts must be a number, found often"),
        ([*flags(), "--repo=nowhere"], "neither a folder nor a git URL: nowhere"),
    ],
)
def test_wrong_flags_are_refused(calls, arguments, message):
    answer = run(*arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert message in answer.stderr
    assert not calls.exists()


def test_help_and_missing_gcloud(tmp_path):
    answer = run("--help")
    assert answer.returncode == 0
    assert all(f"--{name}" in answer.stdout for name in REQUIRED)
    answer = run(*flags(), URL, PATH=str(tmp_path / "empty"))
    assert answer.returncode == 2
    assert "gcloud is not installed" in answer.stderr


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        ("READY", 0, ["describe", "ssh", "ssh", "ssh"]),
        ("ERROR: NOT_FOUND: no such node", 0, ["describe", "create", "ssh", "ssh", "ssh"]),
        ("ERROR: not logged in", 2, ["describe"]),
    ],
)
def test_creates_the_slice_only_where_it_does_not_exist(calls, state, status, expected):
    answer = run(*flags(), URL, STATE=state)
    assert answer.returncode == status, answer.stderr
    assert calls.read_text().split() == expected


STEPS = ["ssh", "ssh", "ssh"]  # clone, install, train
ASK = ["sleep", "describe"]
GONE = "ERROR: NOT_FOUND: no such node"


@pytest.mark.parametrize("failing", ["vatt_gh.main", "pip install"])
def test_a_preempted_slice_is_created_again_and_goes_on(calls, failing):
    """Whether it is preempted while it trains or while it is installed."""
    answer = run(*flags(), URL, STATE="READY\nPREEMPTED", FAILING=failing, FAILURES="1")
    assert answer.returncode == 0, answer.stderr
    assert "preempted: creates it again" in answer.stderr
    first = STEPS if failing == "vatt_gh.main" else STEPS[:2]
    expected = ["describe", *first, *ASK, "describe", "delete", "create", *STEPS]
    assert calls.read_text().split() == expected


def test_one_that_is_preempted_at_the_start_is_created_again(calls):
    assert run(*flags(), URL, STATE="PREEMPTED").returncode == 0
    assert calls.read_text().split() == ["describe", "describe", "delete", "create", *STEPS]


@pytest.mark.parametrize("state", ["READY", f"READY\n{GONE}"])
def test_a_failure_or_a_deletion_ends_with_the_status_of_the_training(calls, state):
    answer = run(*flags(), URL, STATE=state, FAILING="vatt_gh.main", FAILURES="9")
    assert answer.returncode == 75
    assert calls.read_text().split() == ["describe", *STEPS, *ASK]


def test_a_state_that_cannot_be_asked_for_is_asked_again(calls):
    states = "READY\nERROR: no net\nERROR: no net\nPREEMPTED"
    answer = run(*flags(), URL, STATE=states, FAILING="vatt_gh.main", FAILURES="1")
    assert answer.returncode == 0
    again = [*ASK, *ASK, *ASK, "describe", "delete", "create", *STEPS]
    assert calls.read_text().split() == ["describe", *STEPS, *again]


def test_a_slice_that_cannot_be_created_is_tried_again_as_often_as_said(calls):
    """The first command of the workers fails, then each deletion or creation."""
    ways = {"STATE": "READY\nPREEMPTED\nPREEMPTED\nCREATING", "FAILING": "a", "FAILURES": "9"}
    answer = run(*flags(), URL, "--restarts=03", **ways)
    assert answer.returncode == 2 and "not created again (see --restarts)" in answer.stderr
    tried = ["describe", "delete", "create", "sleep"]
    assert calls.read_text().split() == ["describe", "ssh", *ASK, *tried, *tried, *tried]


def test_ctrl_c_ends_it_although_gcloud_catches_it(calls):
    """The stand-in for gcloud sends it to the whole group, and ends with 1 itself."""
    gcloud = calls.with_name("bin") / "gcloud"
    kills = "import signal\nsignal.signal(signal.SIGINT, lambda *_: sys.exit(1))\n"
    kills += "os.kill(0, signal.SIGINT)\n"
    gcloud.write_text(gcloud.read_text() + f'if sys.argv[4] == "ssh":\n    exec({kills!r})\n')
    # What runs in the background, as these tests may, passes on that Ctrl-C is ignored.
    hears = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL)"
    hears = [sys.executable, "-c", f"{hears}; os.execv(sys.argv[1], sys.argv[1:])"]
    command = [*hears, BASH, str(SCRIPT), *flags(), URL]
    environment = os.environ | {"STATE": "READY\nPREEMPTED"}
    answer = subprocess.run(command, env=environment, timeout=60, start_new_session=True)
    assert answer.returncode == 130
    assert calls.read_text().split() == ["describe", "ssh"]


def test_spot_is_passed_on(calls):
    for given, found in (((), []), (("--spot",), ["--spot"])):
        _, create, *_ = printed(*flags(), *given)
        assert [word for word in create if word == "--spot"] == found
    assert not calls.exists()
