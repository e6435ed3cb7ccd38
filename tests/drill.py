"""The drill: a training that is disturbed at random moments, and has to end as if it had not been.

    python -m tests.drill --seed=0                  # 50 faults and 4 in a pod; up to an hour
    python -m tests.drill --seed=0 --faults=8 --pod-faults=0

Trains in children. At moments drawn from the seed it kills them, asks them to stop, damages the
newest checkpoint, fills the disk, takes the records away for a while, damages one, makes a
sample NaN, or starts a second training beside. After each fault it checks what
docs/reliability.md promises: how the child ends, what it says, and how much work is lost. At the
end parameters, statistics, optimizer and position have to be bit for bit those of an undisturbed
run. Prints a table, and ends with 1 where a promise is broken; the children's output stays in a
temporary folder.
"""

import argparse
import dataclasses
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from drill_faults import (
    ALONE,
    FAULTS,
    INTERVAL,
    POD,
    POD_FAULTS,
    SETTINGS,
    Broken,
    Run,
    disk_full,
    require,
    stopped,
)
from tiny_run import OVERRIDES, Tiny, assert_same_state, checkpoints_of, load_experiment, prepared

from tfds_builders.build import build_for
from vatt_gh.evaluation.loading import load_for_evaluation
from vatt_gh.training.checkpoints import Checkpoints

MOST = 3 * INTERVAL  # steps between two faults
ON_THE_WAY = INTERVAL  # steps that may be taken while a checkpoint is written
TMPFS_MB = 64


def disturb(run: Run, faults: list[tuple[Callable[[Run], str], int | None]]) -> Iterator[str]:
    """Disturbs a training; yields a row of the table for each fault."""
    run.child = run.start()
    run.goes_on_to(2 * INTERVAL)
    for number, (fault, most) in enumerate(faults, start=1):
        run.goes_on_to(run.done() + run.random.randint(1, MOST))
        before = run.done()
        ended = fault(run)
        if most is None:
            yield f"| {number} | {fault.__name__} | {before} | {ended} | | |"
            continue
        reached = max(before, run.done())
        run.child = run.start()
        start = run.continues_from()
        lost = max(reached - start, 0)
        require(lost <= most + ON_THE_WAY * (most > 0), f"it costs {most} steps, not {lost}")
        yield f"| {number} | {fault.__name__} | {before} | {ended} | {start} | {lost} |"


def common_checkpoint(run: Run, folder: Path) -> tuple[int, Run]:
    """Ends the run after a regular checkpoint, and trains another as far, undisturbed."""
    last = (run.done() // INTERVAL + 1) * INTERVAL
    end_at(run, last)
    other = dataclasses.replace(run, workdir=folder / "undisturbed")
    other.child = other.start()
    end_at(other, last)
    return last, other


def end_at(run: Run, step: int) -> None:
    while step not in (checkpoints_of(run.workdir) if run.newest() else []):
        require(run.child.poll() is None, f"it trains to step {step}; it said {run.said()[-1500:]}")
        time.sleep(0.02)
    stopped(run)


def state_of(run: Run, step: int):
    config = load_experiment("howto100m")
    config.update_from_flattened_dict({**OVERRIDES, **SETTINGS, "model.dtype": "float32"})
    drawn = load_for_evaluation(config, run.workdir).drawn
    with Checkpoints(run.workdir, config.train) as checkpoints:
        return checkpoints.restore(drawn, step)


def drill(tiny: Tiny, folder: Path, launcher: list[str], faults, seed: int) -> None:
    """Disturbs one training, prints its table, and compares it with an undisturbed one."""
    logs = Path(tempfile.mkdtemp(prefix="drill-"))
    run = Run(tiny, folder / "run", logs, launcher, random.Random(seed))
    print("| | fault | at step | what followed | continued from | steps done again |")
    print("|---|---|---|---|---|---|")
    try:
        for row in disturb(run, faults):
            print(row, flush=True)
        last, other = common_checkpoint(run, folder)
    finally:
        run.child.kill()
    mine, theirs = (state_of(r, last) for r in (run, other))
    require(mine[1] == theirs[1], "the position in the input is the same")
    assert_same_state(mine[0], theirs[0])
    kept = (run.workdir / "damaged").exists()
    print(f"Step {last}: bit for bit as undisturbed. {(kept and 'Damaged ones are kept.') or ''}\n")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk of TMPFS_MB, if this user may mount one."""
    place = folder / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=50, help="in one process (%(default)s)")
    parser.add_argument("--pod-faults", type=int, default=4, help="in two (%(default)s)")
    options = parser.parse_args()
    # Compiled programs are shared; records are this drill's own.
    with tempfile.TemporaryDirectory() as name, small_disk(Path(name)) as disk:
        folder = Path(name)
        tiny = dataclasses.replace(prepared(folder), records=folder / "short_records")
        build_for(tiny.config(**SETTINGS).data)
        known = FAULTS if disk else [f for f in FAULTS if f[0] is not disk_full]
        if disk is None:
            print("No small disk can be mounted: disk_full is left out.")
        try:
            for count, launcher, kinds, where in (
                (options.faults, ALONE, known, disk or folder / "alone"),
                (options.pod_faults, POD, POD_FAULTS, folder / "pod"),
            ):
                if not count:
                    continue
                where.mkdir(exist_ok=True)
                drawn = drawn_faults(kinds, count, options.seed)
                print(f"{count} faults, seed {options.seed}, {' '.join(launcher)}\n", flush=True)
                drill(tiny, where, launcher, drawn, options.seed)
        except Broken as broken:
            sys.exit(f"broken promise: {broken}")


def drawn_faults(kinds: list, count: int, seed: int) -> list:
    """Every kind as often as the others, or some of them once, drawn from the seed."""
    drawn = random.Random(seed)
    if count < len(kinds):
        return drawn.sample(kinds, count)
    faults = [kinds[n % len(kinds)] for n in range(count)]
    drawn.shuffle(faults)
    return faults


if __name__ == "__main__":
    main()
