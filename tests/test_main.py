"""The command: its help for newcomers, and one clear message for every problem."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from absl import flags
from tiny_run import DEFAULTS, OVERRIDES, ROOT, STEPS, checkpoints_of, flags_of, rows_of

from vatt_gh import main as command

DEMO = "--config=configs/demo.py"
PARTS = ("  where: ", "  expected: ", "  to do: ")


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a separate process; none of these calls imports TensorFlow."""
    return subprocess.run(
        [sys.executable, "-m", "vatt_gh.main", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def run_main(monkeypatch):
    """Runs the command in this process, repeatedly if needed."""

    def run(*arguments: str) -> None:
        for name in list(flags.FLAGS):  # the overrides of the previous run have become flags
            if name.startswith("config."):
                delattr(flags.FLAGS, name)
        argv = ["main.py", *arguments]
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", argv)  # config_flags reads the overrides from there
        command.main(command._parse_flags(argv))

    return run


@pytest.fixture
def failure(run_main, capsys):
    """Runs the command in this process; returns its status and its messages."""

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            run_main(*arguments)
        return end.value.code, capsys.readouterr().err

    return run


def assert_one_message(text: str, *expected: str) -> None:
    """Asserts one error with problem, place, expectation and advice, and no traceback."""
    assert text.count("error: ") == 1 and text.startswith("error: ")
    assert "Traceback" not in text
    for part in PARTS:
        assert text.count(part) == 1, f"{part!r} in\n{text}"
    for words in expected:
        assert words in text


def test_help_tells_a_newcomer_what_to_do():
    answer = start("--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    for words in (
        "python -m vatt_gh.main --config=configs/demo.py --workdir=work/demo",
        "--config.data.manual_dir=",
        "--help=SECTION",
        "Sections of the configuration: run, model, loss, harmonize, train, data, eval",
        "continues a run that was interrupted",
        "--workdir:",
        "--[no]distributed:",
    ):
        assert words in answer.stdout
    assert answer.stdout.index("configs/demo.py") < 400  # first steps come first


def test_the_console_command_shows_the_same_help(tmp_path):
    script = tmp_path / "vatt_gh"
    script.write_text("import sys\nfrom vatt_gh.main import command\nsys.exit(command())\n")
    shown = subprocess.run(
        [sys.executable, str(script), "--helpshort"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    ).stdout
    for words in ("VATT pre-training on noisy video", "--config:", "--workdir:", "--[no]distrib"):
        assert words in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["No experiment is given.", "configs/demo.py"]),
        (["--config=configs/nope.py"], ["where: configs/nope.py", "No such file"]),
        ([DEMO, "--config.train.batchsize=8"], ["'train.batchsize'", "train.batch_size"]),
        ([DEMO, "--config.tarin.steps=8"], ["'tarin.steps'", "train.steps"]),
        ([DEMO, "--noconfig.data.flap"], ["'data.flap'", "data.flip"]),
        ([DEMO, "--config.short=True"], ["'short' is gone", "configs/demo.py:short"]),
        ([f"{DEMO}:tiny"], ["no form 'tiny'", "whole, short"]),
        ([DEMO, "--config.train.learning_rates[0]=1"], ["whole value", "[0.001, 0.0001]"]),
        (["--help=tarin"], ["no section 'tarin'", "run, model, loss, harmonize, train"]),
        ([DEMO, "--config.train.batch_size=many"], ["--config.train.batch_size=many"]),
        ([DEMO, "--config.train.batch_size"], ["Missing value", "config.train.batch_size"]),
        ([DEMO, "--wrokdir=x"], ["wrokdir"]),
        ([DEMO, "train"], ["'train'", "flags only"]),
    ],
)
def test_command_line_that_does_not_fit_gets_one_message(arguments, expected):
    answer = start(*arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert_one_message(answer.stderr, *expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = (\n", ["SyntaxError", "experiment.py, line 1"]),
        ("x = 1\n", ["get_config"]),
        ("def get_config():\n    pass\n", ["returns None"]),
        (
            "from vatt_gh.config import default\n"
            "def get_config():\n    config = default()\n    config.train.stops = 3\n",
            ["'stops'", "train.steps", "experiment.py, line 4"],
        ),
    ],
)
def test_experiment_with_a_mistake_gets_one_message(tmp_path, capsys, source, expected):
    path = tmp_path / "experiment.py"
    path.write_text(source)
    with pytest.raises(SystemExit) as end:
        command._parse_flags(["main.py", f"--config={path}"])
    assert end.value.code == 2
    assert_one_message(capsys.readouterr().err, *expected)


HOWTO = ["--config=configs/howto100m.py", *flags_of(OVERRIDES)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train.batch_size": 6}, ["config.train.batch_size = 6", "4 devices"]),
        ({"train.log_every": 0}, ["config.train.log_every = 0"]),
        ({}, ["No data directory is given.", "--config.data.data_dir=DIR"]),
        ({"data.data_dir": "{tmp}/r"}, ["nothing to build them from", "--config.data.manual_dir"]),
        (
            {"data.data_dir": "{tmp}/r", "data.manual_dir": "{tmp}/no"},
            ["is missing", "caption.json", "{tmp}/no"],
        ),
        (
            {"data.data_dir": "{tmp}/r", "data.manual_dir": "{tmp}"},
            ["holds no video", "caption.json"],
        ),
        ({"mode": "evaluate", "data.data_dir": "{records}"}, ["vocabulary.txt"]),
    ],
)
def test_run_that_cannot_start_gets_one_message(tiny, tmp_path, failure, changes, expected):
    def filled(text):
        return str(text).replace("{tmp}", str(tmp_path)).replace("{records}", str(tiny.records))

    values = {key: filled(value) for key, value in changes.items()}
    arguments = [*HOWTO, f"--workdir={tmp_path / 'run'}", *flags_of(values)]
    status, text = failure(*arguments)
    assert status == 2
    assert_one_message(text, *(filled(words) for words in expected))


def default_flags(tiny, workdir: Path, **changes) -> list[str]:
    """Flags for the configuration of `tiny.config()`, whose program is already compiled."""
    paths = {"data.manual_dir": tiny.corpus, "data.data_dir": tiny.records}
    values = {**OVERRIDES, **paths, **DEFAULTS, **changes}
    return ["--config=configs/howto100m.py", f"--workdir={workdir}", *flags_of(values)]


def test_full_disk_gets_one_message(tiny, tmp_path, failure):
    (tmp_path / ".config.json.partial").symlink_to("/dev/full")  # every write there fails: no space
    status, text = failure(*default_flags(tiny, tmp_path))
    assert status == 2
    assert_one_message(text, "The disk is full", "No space left on device", "free some space")


def test_error_of_ours_keeps_its_trace(tiny, tmp_path, run_main):
    """Errors that users cannot fix are not hidden: here a directory in place of a file."""
    (tmp_path / ".vocabulary.txt.partial").mkdir()
    with pytest.raises(IsADirectoryError):
        run_main(*default_flags(tiny, tmp_path))


ONE_FAILS = """
import time
import jax
import vatt_gh.main as command
def run(config, workdir):
    if jax.process_index() == 1:
        raise RuntimeError("which no message explains")
    time.sleep(60)  # for the other one
    print("survived")
command.run = run
command.app.run(command.main, flags_parser=command._parse_flags)
"""


def test_error_of_ours_on_one_host_of_a_pod_ends_that_host_at_once(tmp_path):
    """It keeps its trace, and does not wait for the others, which wait for it."""
    (tmp_path / "one_fails.py").write_text(ONE_FAILS)
    pod = ["launch/local_pod.py", "--processes=2", "--devices=1", "--grace=1"]
    answer = subprocess.run(
        [sys.executable, *pod, "--module=one_fails", "--", DEMO],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 1 and "process 1 failed with status 1" in answer.stderr
    assert "[1] Traceback" in answer.stdout and "survived" not in answer.stdout
    assert "[1] RuntimeError: which no message explains" in answer.stdout


def test_diverged_training_ends_with_3_and_is_not_saved(tiny, whole, tmp_path, failure):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "checkpoints" / "6")
    # A temperature that is 0 in float32. The run's configuration would reject it, so that file is
    # removed: the run was fine until step 4.
    (tmp_path / "config.json").unlink()
    changes = {"loss.temperature": "1e-50", "train.checkpoint_every": 1}
    status, text = failure(*default_flags(tiny, tmp_path, **changes))
    assert status == 3
    message = text.splitlines()[-1]
    assert message.startswith("error: training diverged. step 5: ")
    assert "loss_va" in message.split("not finite")[0]
    captions = json.loads((tiny.corpus / "caption.json").read_text())
    assert any(f"{name} at " in message for name in captions)
    assert "Traceback" not in text
    assert checkpoints_of(tmp_path) == [2, 4]
    for name in ("metrics.jsonl", "samples.jsonl"):
        assert rows_of(tmp_path / name)[-1]["step"] == 4


def test_interrupt_ends_with_130_and_keeps_what_was_done(tiny, tmp_path, failure):
    changes = {"train.log_every": 1, "train.log_samples_every": 0}
    rows = tmp_path / "metrics.jsonl"
    over = threading.Event()

    def interrupt() -> None:
        while not over.wait(0.01):
            if rows.exists() and rows.read_text().count("\n") >= 3:
                os.kill(os.getpid(), signal.SIGINT)
                return

    # A shell script starts commands before "&" with this signal ignored, and Python keeps that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        status, text = failure(*default_flags(tiny, tmp_path, **changes))
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)
    assert status == 130
    assert text.strip().splitlines()[-1].startswith("Interrupted. The same command continues")
    assert "Traceback" not in text
    last = checkpoints_of(tmp_path)[-1]
    done = [row["step"] for row in rows_of(rows)]
    assert 2 <= last <= done[-1] < STEPS
    assert done == list(range(1, done[-1] + 1))
    assert not (tmp_path / "samples.jsonl").exists()
