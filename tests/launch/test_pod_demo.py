"""README's command for several processes: the demo in its short form, only plain VATT."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_one_process_prepares_all_train_and_one_writes(tmp_path):
    workdir = tmp_path / "demo"
    flags = [
        *(
            "launch/local_pod.py",
            "--processes=2",
            "--devices=1",
            "--",
            "--config=configs/demo.py:short",
        ),
        *(f"--workdir={workdir}", "--config.train.steps=5"),
        "--config.train.log_samples_every=1",
        *("--config.harmonize.realign=False", "--config.harmonize.curriculum=False"),
    ]
    done = subprocess.run(
        [sys.executable, *flags],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((workdir / "results.json").read_text())
    assert results["step"] == 5
    assert (workdir / "index.html").stat().st_size > 2_000
    assert done.stdout.count("Report: ") == 1
    mine, others = (
        [json.loads(line)["step"] for line in (workdir / name).read_text().splitlines()]
        for name in ("samples.jsonl", "samples.1.jsonl")
    )
    assert mine == others != []
