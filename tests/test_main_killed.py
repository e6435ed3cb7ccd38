"""The command on a directory of videos: it builds records, trains, and survives a kill."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from tiny_run import OVERRIDES, ROOT, STEPS, assert_same_state, checkpoints_of, flags_of, rows_of

from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.loop import pretrain

KILLED_AT = 6  # rows of samples.jsonl, one per step
CHECKPOINTS = {"train.checkpoint_every": 4}


def command(tiny, folder: Path) -> list[str]:
    paths = {"data.manual_dir": tiny.corpus, "data.data_dir": folder / "records"}
    return [
        sys.executable,
        *("-m", "vatt_gh.main", "--config=configs/howto100m.py", f"--workdir={folder / 'run'}"),
        *flags_of({**OVERRIDES, **CHECKPOINTS, **paths}),
    ]


def kill_in_the_middle(arguments: list[str], samples: Path, environment, log: Path) -> None:
    """Starts the command, and kills it during training, like the system."""
    with log.open("w") as output:
        process = subprocess.Popen(
            arguments, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + 180
        while process.poll() is None and time.monotonic() < end:
            rows = samples.read_text().count("\n") if samples.exists() else 0
            if rows >= KILLED_AT and checkpoints_of(samples.parent):
                break
            time.sleep(0.01)
        assert process.poll() is None, log.read_text()[-3000:]
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL


def test_killed_command_continues_bit_for_bit(tiny, tmp_path):
    workdir, log = tmp_path / "run", tmp_path / "log"
    arguments = command(tiny, tmp_path)
    kill_in_the_middle(arguments, workdir / "samples.jsonl", tiny.environment, log)
    assert (tmp_path / "records" / "howto100m").is_dir()  # it built them first
    assert "4 videos" in log.read_text()
    assert 4 <= checkpoints_of(workdir)[-1] < STEPS

    answer = subprocess.run(
        arguments, cwd=ROOT, env=tiny.environment, capture_output=True, text=True, timeout=180
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert "checkpoint.py" not in answer.stderr  # no messages of libraries
    assert f"Report: {workdir / 'index.html'}" in answer.stdout
    assert (workdir / "index.html").is_file()
    assert checkpoints_of(workdir) == [8, 12, 13]

    config = tiny.config("howto100m", **CHECKPOINTS)
    assert config.model.dtype == "bfloat16" and config.model.remat
    expected = pretrain(config, tmp_path / "undisturbed")
    # The killed run's records were rebuilt identically, or the rows would differ.
    for name in ("metrics.jsonl", "samples.jsonl"):
        assert rows_of(workdir / name) == rows_of(tmp_path / "undisturbed" / name)
    assert [row["step"] for row in rows_of(workdir / "samples.jsonl")] == [*range(1, STEPS + 1)]
    with Checkpoints(workdir, config.train) as checkpoints:
        restored, position = checkpoints.restore(expected)
    assert position == 8 * STEPS
    assert_same_state(restored, expected)
