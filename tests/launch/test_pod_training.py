"""The real command as a pod of two processes: resumes, scores, keeps the best, as one does."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_run import DEFAULTS, OVERRIDES, ROOT, STEPS, STOP, checkpoints_of, flags_of, rows_of

from vatt_gh.evaluation.loading import load_for_evaluation
from vatt_gh.evaluation.scoring import evaluate_workdir
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.writer import OF_HOSTS

R5 = "eval.retrieval.r5"


def pod(tiny, workdir: Path, log: Path, *more: str) -> subprocess.Popen[str]:
    paths = {"data.manual_dir": tiny.corpus, "data.data_dir": tiny.records}
    options = ["--processes=2", "--devices=2", "--grace=1", "--"]
    experiment = ["--config=configs/howto100m.py", f"--workdir={workdir}"]
    flags = flags_of({**OVERRIDES, **DEFAULTS, **paths})
    with log.open("a") as output:
        return subprocess.Popen(
            [sys.executable, "launch/local_pod.py", *options, *experiment, *flags, *more],
            cwd=ROOT,
            env=tiny.pod_environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def test_a_pod_builds_nothing_and_says_the_command_that_does(tiny, tmp_path):
    log, records = tmp_path / "log", tmp_path / "records"
    ended = pod(tiny, tmp_path / "run", log, f"--config.data.data_dir={records}").wait(timeout=300)
    assert ended == 2, log.read_text()[-3000:]
    command = "python -m tfds_builders.build howto100m"
    command += f" --manual_dir={tiny.corpus} --data_dir={records}"
    command += " --short_side=24 --audio_rate=8000"  # as the training would have them built
    assert command in log.read_text()
    assert not records.exists() and not (tmp_path / "run" / "checkpoints").exists()


def test_pod_continues_a_run_of_one_process_with_the_same_numbers(tiny, whole, tmp_path):
    alone, _ = whole  # the same run in one process with four devices
    workdir, log = tmp_path / "run", tmp_path / "log"
    shutil.copytree(alone, workdir)
    for step in (4, 6):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    # The first process rewrites these while the second one waits for them.
    for name in ("config.json", "vocabulary.txt"):
        (workdir / name).unlink()
    keeping = ["eval.every=4", "train.keep_checkpoints=1", f"train.keep_best={R5}"]
    keeping = [f"--config.{key}" for key in keeping]
    assert pod(tiny, workdir, log, *keeping).wait(timeout=300) == 0, log.read_text()[-3000:]
    scores = {r["step"]: r[R5] for r in rows_of(workdir / "metrics.jsonl") if R5 in r}
    assert [*scores] == [4, 8, 12]
    best = max(scores, key=scores.get)
    assert checkpoints_of(workdir) == [best, STEPS]
    assert (workdir / "index.html").is_file()
    rows = rows_of(workdir / "samples.jsonl")
    assert [row["step"] for row in rows] == [*range(1, STEPS + 1)]

    others = rows_of(workdir / "samples.1.jsonl")
    assert [row["step"] for row in others] == [*range(3, STEPS + 1)]
    expected = rows_of(alone / "samples.jsonl")[2:STOP]
    for mine, his, both in zip(rows[2:STOP], others, expected, strict=False):
        assert mine["step"] == his["step"] == both["step"]
        for key in ("video_id", "start", "end", "weight"):
            assert mine[key] + his[key] == both[key]
        cosines = [mine["cosine"] + his["cosine"], both["cosine"]]
        np.testing.assert_allclose(*np.array(cosines, float), atol=1e-3)
    expected = rows_of(alone / "metrics.jsonl")
    assert [row["step"] for row in expected] == [2, 4, 6]
    for mine, theirs in zip(rows_of(workdir / "metrics.jsonl"), expected, strict=False):
        spread = {f"{name}_{how}" for name in OF_HOSTS for how in ("min", "mean", "max")}
        assert (R5 in mine) == (mine["step"] in scores)
        measured = {key for key in mine if not key.startswith("eval.")}
        for name in OF_HOSTS if mine["step"] > 2 else ():
            low, mean, high = (mine[f"{name}_{how}"] for how in ("min", "mean", "max"))
            assert 2 * mean == pytest.approx(low + high)  # of two processes
        # The first row is the one process's.
        assert measured == theirs.keys() | (spread if mine["step"] > 2 else set())
        for key in theirs:
            np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-3, atol=1e-4, err_msg=key)

    # Each process embeds its share of the clips; one of them writes what one alone would find.
    (workdir / "results.json").unlink(missing_ok=True)
    evaluate = ["--config.mode=evaluate", "--config.eval.checkpoint=best"]
    assert pod(tiny, workdir, log, *evaluate).wait(timeout=300) == 0, log.read_text()[-3000:]
    shared = json.loads((workdir / "results.json").read_text())
    config = tiny.config("howto100m", **DEFAULTS)
    config.eval.checkpoint = "best"
    results = evaluate_workdir(config, workdir)
    assert shared["clips"] == results["clips"] > 8
    assert shared == results
    assert (shared["step"], shared["retrieval"]["r5"]["value"]) == (best, scores[best])

    # A pod's checkpoint is like any other: one process can read it.
    config.eval.checkpoint = "newest"
    state = load_for_evaluation(config, workdir).state
    with Checkpoints(workdir, config.train) as checkpoints:
        _, position = checkpoints.restore(state)
    assert int(state.step) == STEPS and position == 8 * STEPS
