"""The drill's training, and the faults that it meets; see drill.py."""

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tiny_run import OVERRIDES, ROOT, Tiny, checkpoints_of, flags_of

from vatt_gh.training.claims import OWNER

INTERVAL = 25  # steps between checkpoints
SETTINGS = {
    "train.steps": 1_000_000,
    "harmonize.curriculum_steps": 1_000_000,
    "train.checkpoint_every": INTERVAL,
    "train.log_every": 5,
    "train.keep_checkpoints": 3,
    # More records than are kept in memory: damage is met. One of them is a large share.
    "data.build_segment_seconds": 1.5,
    "data.unreadable_share": 0.5,
    # Less to compile and to compute: the drill is about files and signals.
    "harmonize.realign": False,
    "data.colour_jitter": 0.0,
}
POD = ["launch/local_pod.py", "--processes=2", "--devices=2", "--grace=60", "--"]
ALONE = ["-m", "vatt_gh.main"]
PATIENCE = 1200  # s; several processes compile on what a busy machine leaves them


class Broken(Exception):
    """A promise was not kept; the text says which."""


def require(kept: bool, promise: str) -> None:
    if not kept:
        raise Broken(promise)


@dataclasses.dataclass
class Run:
    """The disturbed training: its work directory, its child, and what the child has said."""

    tiny: Tiny
    workdir: Path
    logs: Path
    launcher: list[str]
    random: random.Random
    child: subprocess.Popen[str] | None = None
    log: Path | None = None
    started: int = 0

    def start(self, launcher: list[str] | None = None) -> subprocess.Popen[str]:
        self.started += 1
        self.log = self.logs / f"{self.started}"  # not on the disk that gets full
        tiny = self.tiny
        paths = {"data.manual_dir": tiny.corpus, "data.data_dir": tiny.records}
        flags = flags_of({**OVERRIDES, **paths, **SETTINGS})
        with self.log.open("w") as output:
            return subprocess.Popen(
                [
                    sys.executable,
                    *(launcher or self.launcher),
                    "--config=configs/howto100m.py",
                    "--config.model.dtype=float32",
                    f"--workdir={self.workdir}",
                    *flags,
                ],
                cwd=ROOT,
                env=tiny.pod_environment if self.launcher is POD else tiny.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def done(self) -> int:
        """The last step that was reported; half a row may be at the end."""
        path = self.workdir / "samples.jsonl"
        rows = path.read_text().splitlines() if path.exists() else []
        for row in reversed(rows):
            try:
                return json.loads(row)["step"]
            except ValueError:
                continue
        return 0

    def newest(self) -> int:
        folder = self.workdir / "checkpoints"
        return max(checkpoints_of(self.workdir), default=0) if folder.exists() else 0

    def goes_on_to(self, step: int) -> None:
        end = time.monotonic() + PATIENCE
        while self.done() < step or not self.newest():
            require(
                self.child.poll() is None, f"the child trains on; it said {self.said()[-1500:]}"
            )
            require(time.monotonic() < end, f"it comes to step {step} within {PATIENCE} s")
            time.sleep(0.02)

    def ends_with(self, *expected: int) -> str:
        status = self.child.wait(timeout=180)
        said = self.said()[-1500:]
        require(status in expected, f"it ends with {expected}, not {status}; it said {said}")
        return f"status {status}"

    def continues_from(self) -> int:
        """The step of the checkpoint that this child has begun with."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(r"Continues from step (\d+)", self.said())):
            require(self.child.poll() is None, f"it continues; it said {self.said()[-1500:]}")
            require(time.monotonic() < end, f"it continues within {PATIENCE} s")
            time.sleep(0.02)
        return int(found[1])

    def owner(self) -> int:
        return int(json.loads((self.workdir / OWNER).read_text())["process"])

    def any_host(self) -> int:
        """A process that trains; in a pod one of them is drawn."""
        if self.launcher is not POD:
            return self.owner()
        pod = self.child.pid
        hosts = Path(f"/proc/{pod}/task/{pod}/children").read_text().split()
        return int(self.random.choice(hosts))


def killed(run: Run) -> str:
    os.kill(run.any_host(), signal.SIGKILL)
    # local_pod ends with the status of the first process that failed, or of one it stopped.
    return run.ends_with(-9, 137, 1, 75, 134)


def stopped(run: Run) -> str:
    os.kill(run.owner(), signal.SIGTERM)
    return run.ends_with(75)


def interrupted(run: Run) -> str:
    os.kill(run.owner(), signal.SIGINT)
    return run.ends_with(130, 75)  # in a pod, 75: it is passed on as SIGTERM


def _newest_file(run: Run) -> Path:
    folder = run.workdir / "checkpoints" / str(run.newest())
    return run.random.choice(sorted(p for p in folder.rglob("*") if p.is_file()))


def flipped(run: Run) -> str:
    killed(run)
    path = _newest_file(run)
    data = bytearray(path.read_bytes())
    data[run.random.randrange(len(data))] ^= 1 << run.random.randrange(8)
    path.write_bytes(data)
    return f"bit of {path.name[:14]}"


def cut(run: Run) -> str:
    killed(run)
    path = _newest_file(run)
    path.write_bytes(path.read_bytes()[: run.random.randrange(path.stat().st_size)])
    return f"end of {path.name[:14]}"


def unnamed(run: Run) -> str:
    killed(run)
    shutil.rmtree(run.workdir / "checkpoints" / str(run.newest()) / "meta")
    return "metadata gone"


def disk_full(run: Run) -> str:
    """Until the child notices; what is in the way goes after it has ended."""
    ballast = run.workdir / "ballast"
    try:
        with ballast.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
    except OSError:
        pass
    try:
        ended = run.ends_with(2)
        require("disk is full" in run.said(), "it says that the disk is full")
    finally:
        ballast.unlink()
    return ended


def records_away(run: Run) -> str:
    away = run.tiny.records.with_name("away")
    run.tiny.records.rename(away)
    seconds = run.random.uniform(0.2, 3.0)
    time.sleep(seconds)
    away.rename(run.tiny.records)
    run.goes_on_to(run.done() + INTERVAL)
    require("left out" not in run.said(), "no sample is left out")
    return f"{seconds:.1f} s, trains on"


def record_damaged(run: Run) -> str:
    """Until it is named; what was saved since is removed, for it lacks the record's samples."""
    shard = run.random.choice(sorted(run.tiny.records.rglob("*.tfrecord-*")))
    before, data = run.done(), bytearray(shard.read_bytes())
    place = run.random.randrange(16, len(data))  # behind the first record's length
    data[place] ^= 1
    with shard.open("r+b") as file:
        file.write(data)
    end = time.monotonic() + 60
    while "left out" not in run.said():
        require(run.child.poll() is None, f"it trains on; it said {run.said()[-1500:]}")
        require(time.monotonic() < end, "the record is named within 60 s")
        time.sleep(0.02)
    run.goes_on_to(run.done() + 5)
    killed(run)
    rows = (run.workdir / "skipped.jsonl").read_text().splitlines()
    require(json.loads(rows[-1])["path"] == str(shard), "skipped.jsonl has the shard")
    data[place] ^= 1
    shard.write_bytes(data)
    for step in checkpoints_of(run.workdir):
        if step > before:
            shutil.rmtree(run.workdir / "checkpoints" / str(step))
    return "named, trains on; mended"


def not_finite(run: Run) -> str:
    """A sample that is NaN, some steps after the run has been stopped and continued."""
    stopped(run)
    step = run.newest() + run.random.randint(2, INTERVAL)
    run.child = run.start(["-m", "tests.nan_child", str(step)])
    ended = run.ends_with(3)
    require(f"step {step}: " in run.said(), "it names the step")
    require(run.newest() < step, "nothing of the step is saved")
    return f"step {step}: {ended}"


def second_training(run: Run) -> str:
    first, log = run.child, run.log
    second = run.start()
    status = second.wait(timeout=120)
    said = run.said()
    run.log = log
    require(status == 2, f"the second one ends with 2, not {status}")
    require(f"process {first.pid} on" in said, "it says who is at work")
    run.goes_on_to(run.done() + 5)
    return "second: status 2; trains on"


# Fault, and how many steps it may cost; None: the child trains on.
FAULTS: list[tuple[Callable[[Run], str], int | None]] = [
    (killed, INTERVAL),
    (stopped, 0),
    (interrupted, 0),
    (flipped, 2 * INTERVAL),
    (cut, 2 * INTERVAL),
    (unnamed, 2 * INTERVAL),
    (disk_full, INTERVAL),
    (records_away, None),
    (second_training, None),
    (record_damaged, 2 * INTERVAL),
    (not_finite, INTERVAL),
]
POD_FAULTS = [FAULTS[0], FAULTS[1], FAULTS[2], FAULTS[3]]
