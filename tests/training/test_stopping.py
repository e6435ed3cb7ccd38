"""Trainings that are asked to stop: real processes."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest
from tiny_run import (
    DEFAULTS,
    OVERRIDES,
    ROOT,
    STEPS,
    assert_same_state,
    checkpoints_of,
    flags_of,
    rows_of,
)

from vatt_gh.errors import UserError
from vatt_gh.training import loop
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.claims import OWNER
from vatt_gh.training.loop import pretrain
from vatt_gh.training.parallel import parallel_step
from vatt_gh.training.stopping import Stopped, Stopping
from vatt_gh.training.writer import seconds_of_steps

SELDOM = {"train.checkpoint_every": 100}


def start(tiny, workdir, log, *launcher, **changes):
    """Starts the real command."""
    paths = {"data.manual_dir": tiny.corpus, "data.data_dir": tiny.records}
    flags = flags_of({**OVERRIDES, **DEFAULTS, **paths, **changes})
    program = [*(launcher or ("-m", "vatt_gh.main")), "--config=configs/howto100m.py"]
    with log.open("a") as output:
        return subprocess.Popen(
            [sys.executable, *program, f"--workdir={workdir}", *flags],
            cwd=ROOT,
            env=tiny.pod_environment if launcher else tiny.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def wait_for(condition, process, log, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.01)


def steps_in(workdir):
    path = workdir / "samples.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def test_a_signal_saves_the_step_and_the_same_command_continues(tiny, tmp_path):
    workdir, log = tmp_path / "run", tmp_path / "log"
    long = {**SELDOM, "train.steps": 100_000, "harmonize.curriculum_steps": 100_000}
    process = start(tiny, workdir, log, **long)
    wait_for(lambda: steps_in(workdir) >= 3, process, log)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=180) == 75
    [saved] = checkpoints_of(workdir)
    assert saved == steps_in(workdir) >= 3  # nothing that was done is lost
    assert f"The same command continues from step {saved}." in log.read_text()
    config = tiny.config("howto100m", **DEFAULTS, **long)
    further = pretrain(config, workdir, stop_after=saved + 2)
    undisturbed = pretrain(config, tmp_path / "other", stop_after=saved + 2)
    assert_same_state(further, undisturbed)
    assert rows_of(workdir / "samples.jsonl") == rows_of(tmp_path / "other" / "samples.jsonl")


FAILED_SAVE = """
import resource, signal, sys, threading, time
from pathlib import Path
sys.path.insert(0, "tests")
from tiny_run import Tiny
from vatt_gh.training.loop import pretrain
from vatt_gh.training.stopping import Stopped

*paths, workdir = map(Path, sys.argv[1:])
config = Tiny(*paths).config(**{"eval.every": 2, "train.checkpoint_every": 4})
config.train.log_samples_every = 0
before = resource.getrlimit(resource.RLIMIT_FSIZE)

def score(state):
    if int(state.step) == 4:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, before[1]))
    if int(state.step) == 6:
        while any(thread.name == "save_finalize" for thread in threading.enumerate()):
            time.sleep(0.01)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.raise_signal(signal.SIGTERM)
    return {}

try:
    pretrain(config, workdir, scoring=lambda rate: score)
except Stopped as stopped:
    print(stopped)
"""


def test_a_signal_saves_the_step_although_a_save_before_has_failed(tiny, tmp_path):
    """No file may grow beyond some size while step 4 is saved: a disk that is full for a while."""
    # In a process of its own: what TensorStore answers late finds Orbax's loop closed.
    ended = subprocess.run(
        [sys.executable, "-c", FAILED_SAVE, *map(str, dataclasses.astuple(tiny)), str(tmp_path)],
        cwd=ROOT,
        env=tiny.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "SIGTERM at step 6" in ended.stdout, ended.stderr[-3000:]
    assert "A checkpoint could not be saved: " in ended.stderr
    assert checkpoints_of(tmp_path) == [6]
    config = tiny.config(**{"train.checkpoint_every": 4, "train.log_samples_every": 0})
    assert int(pretrain(config, tmp_path, stop_after=7).step) == 7


SCORES = """
import signal, sys, time
import vatt_gh.main as command
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
def run(config, workdir):
    print("scores", flush=True)
    for _ in range(600):
        time.sleep(0.1)  # scores return to Python often: a signal may come to another thread
command.run = run
sys.argv = ["vatt_gh", "--config=configs/demo.py"]
command.app.run(command.main, flags_parser=command._parse_flags)
"""


def at_work(program: str, word: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Starts a program, and waits until it says a word."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == f"{word}\n"
    return process


def test_a_signal_while_no_step_is_taken_ends_with_the_same_status(tiny):
    process = at_work(SCORES, "scores", tiny.environment)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 75 and "The same command continues" in said


POD_OF_ONE = {"JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_host_of_a_pod_that_takes_no_steps(tiny, number):
    """JAX would only note it, and wait for the other hosts at the end."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    flags = '"--config=configs/demo.py", "--config.mode=evaluate", "--distributed"'
    program = SCORES.replace('"--config=configs/demo.py"', flags)
    environment = tiny.environment | POD_OF_ONE | {"JAX_COORDINATOR_ADDRESS": address}
    process = at_work(program, "scores", environment)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    expected = {signal.SIGTERM: 75, signal.SIGINT: 130}[number]
    assert process.returncode == expected and "The same command continues" in said


def test_a_signal_while_the_last_checkpoint_is_written_waits_for_it(tiny, tmp_path, monkeypatch):
    wait = Checkpoints.wait

    def asked(self):
        signal.raise_signal(signal.SIGTERM)
        wait(self)

    monkeypatch.setattr(Checkpoints, "wait", asked)
    with pytest.raises(Stopped, match="SIGTERM at step 4"):
        pretrain(tiny.config(), tmp_path, stop_after=4)
    assert checkpoints_of(tmp_path)[-1] == 4


WAITS = """
import os, sys
from vatt_gh.training.stopping import Stopping
read, write = os.pipe()
with Stopping() as stopping:
    print("waits", flush=True)
    os.read(read, 1)  # for an input that never comes
"""


def test_a_second_signal_ends_at_once_even_while_it_waits(tiny):
    process = at_work(WAITS, "waits", tiny.environment)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "saves after this step" in said and "ends at once" in said


def test_all_hosts_of_a_pod_stop_after_the_same_step(tiny, tmp_path):
    """One of two processes is asked, as a pod's notice may reach one host alone."""
    workdir, log = tmp_path / "run", tmp_path / "log"
    long = {**SELDOM, "train.steps": 100_000, "harmonize.curriculum_steps": 100_000}
    launcher = ("launch/local_pod.py", "--processes=2", "--devices=2", "--grace=60", "--")
    process = start(tiny, workdir, log, *launcher, **long)
    wait_for(lambda: steps_in(workdir) >= 3, process, log)
    one = int(json.loads((workdir / OWNER).read_text())["process"])
    os.kill(one, signal.SIGTERM)
    assert process.wait(timeout=120) == 75, log.read_text()[-3000:]
    [saved] = checkpoints_of(workdir)
    steps = [rows_of(workdir / name)[-1]["step"] for name in ("samples.jsonl", "samples.1.jsonl")]
    assert steps == [saved, saved] and saved >= 3
    assert log.read_text().count(f"continues from step {saved}.") == 2


POD_SCORES = """
import os, signal, time
import jax
from vatt_gh.training.parallel import all_hosts
from vatt_gh.training.stopping import Stopping
jax.distributed.initialize(num_processes=2, process_id=int(os.environ["JAX_PROCESS_ID"]))
def score():
    if jax.process_index() == 1:
        signal.raise_signal(signal.SIGINT)
    return sum(all_hosts(21))
with Stopping() as stopping:
    found, step = stopping.at_once(score), 1
    while not (number := stopping.asked(step)):
        step += 1
        time.sleep(0.1)
    print(f"score {found}, signal {number} after step {step}")
"""


def run_pod(tiny, folder, name, text):
    """Runs a program in two processes with one device each."""
    (folder / f"{name}.py").write_text(text)
    program = [ROOT / "launch" / "local_pod.py", "--processes=2", "--devices=1", "--grace=1"]
    return subprocess.run(
        [sys.executable, *program, f"--module={name}"],
        env=tiny.environment | {"PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_ctrl_c_on_one_host_of_a_pod_waits_for_the_score_and_stops_all(tiny, tmp_path):
    answer = run_pod(tiny, tmp_path, "pod_scores", POD_SCORES)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    scored = [line for line in answer.stdout.splitlines() if "score" in line]
    assert len(scored) == 2 and len({line[4:] for line in scored}) == 1
    assert "score 42, signal 15 after step" in scored[0]


POD_TWICE = """
import os, signal, sys, time
import jax
from vatt_gh.training.stopping import Stopping
jax.distributed.initialize(num_processes=2, process_id=int(os.environ["JAX_PROCESS_ID"]))
with Stopping():
    if jax.process_index() == 1:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(1)
        print("asked once", flush=True)
        signal.raise_signal(signal.SIGTERM)
    os.read(os.pipe()[0], 1)  # for another host, for ever
"""


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN, lambda *_: None])
def test_a_pod_without_jax_s_handler_is_refused_and_handlers_come_back(monkeypatch, before):
    first = signal.signal(signal.SIGTERM, before)
    try:
        with Stopping():
            assert signal.getsignal(signal.SIGTERM) != before
        assert signal.getsignal(signal.SIGTERM) == before
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        with pytest.raises(UserError, match="would not reach JAX"), Stopping():
            pass
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGTERM, first)


def test_a_second_signal_ends_a_host_of_a_pod_at_once(tiny, tmp_path):
    answer = run_pod(tiny, tmp_path, "pod_twice", POD_TWICE)
    assert answer.returncode == 128 + signal.SIGTERM, answer.stdout + answer.stderr
    said = answer.stdout + answer.stderr
    assert "asked once" in said and said.count("SIGTERM again: ends at once") == 1


def test_checkpoints_come_by_time_too(tiny, tmp_path):
    changes = {**SELDOM, "train.keep_checkpoints": 20, "train.log_every": 2}
    pretrain(tiny.config(**changes, **{"train.checkpoint_minutes": 1e-9}), tmp_path / "a")
    assert checkpoints_of(tmp_path / "a") == [*range(2, STEPS, 2), STEPS]
    pretrain(tiny.config(**changes, **{"train.checkpoint_minutes": 0.0}), tmp_path / "b")
    assert checkpoints_of(tmp_path / "b") == [STEPS]
    states = []
    for name in "ab":
        config = tiny.config(**changes)
        with Checkpoints(tmp_path / name, config.train) as checkpoints:
            states.append(checkpoints.restore(pretrain(config, tmp_path / name))[0])
    assert_same_state(*states)


STUCK = """
import os
from vatt_gh.training.watchdog import Watchdog
def wait_for_another_host():
    os.read(os.pipe()[0], 1)
with Watchdog(0.5 / 60) as watchdog:
    with watchdog.paused():
        import time
        time.sleep(1)  # an evaluation
    print("scored", flush=True)
    for _ in range(5):
        time.sleep(0.2)
        watchdog.progress()
    print("waits", flush=True)
    wait_for_another_host()
"""


def test_a_step_without_progress_ends_with_the_stacks_of_all_threads(tiny):
    answer = subprocess.run(
        [sys.executable, "-c", STUCK],
        env=tiny.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 1 and answer.stdout == "scored\nwaits\n"
    assert "Timeout" in answer.stderr and "wait_for_another_host" in answer.stderr


def test_opening_the_input_and_compiling_are_no_steps(tiny, tmp_path, monkeypatch):
    def late(function):
        return lambda *given: time.sleep(2) or function(*given)

    def slow_at_first(step):
        taken, pauses = parallel_step(step), [2]
        return lambda *given: time.sleep(pauses.pop() if pauses else 0) or taken(*given)

    monkeypatch.setattr(loop, "open_sources", late(loop.open_sources))
    monkeypatch.setattr(loop, "parallel_step", slow_at_first)
    pretrain(tiny.config(), tmp_path, stop_after=2)
    row = json.loads((tmp_path / "metrics.jsonl").read_text())
    steps = 2 * row["step_seconds"]
    assert steps < 2 and steps / row["goodput"] > steps + 4


def test_a_step_that_changed_nothing_is_no_good_step():
    rows = [
        {"step": 2, "step_seconds": 1.0, "skipped_steps": 0},
        {"step": 4, "step_seconds": 1.0, "skipped_steps": 1},
        {"step": 7, "step_seconds": 2.0, "skipped_steps": 1},
    ]
    assert seconds_of_steps(rows) == 2 + 1 + 6
    assert seconds_of_steps([{"step": 2, "step_seconds": 1.5}]) == 3  # of an earlier version


def test_goodput_counts_the_steps_of_all_starts(tiny, tmp_path):
    pretrain(tiny.config(), tmp_path / "run", stop_after=4)
    time.sleep(1)
    pretrain(tiny.config(), tmp_path / "run", stop_after=8)
    with (tmp_path / "run" / "metrics.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    steps = [2 * row["step_seconds"] for row in rows]
    assert len(rows) == 4 and all(0 < row["goodput"] <= 1 for row in rows)
    shares = [row["goodput"] for row in rows]
    # The pause between the starts is lost.
    for number in (2, 3):
        whole = sum(steps[: number + 1]) / shares[number]
        assert whole > sum(steps[: number + 1]) + 1
