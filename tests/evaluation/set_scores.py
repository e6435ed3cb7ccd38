"""Scores a downstream set, and checks what the results of every set have."""

import json
from pathlib import Path

from ml_collections import ConfigDict

from tfds_builders.build import build_for
from vatt_gh.evaluation.evaluators import EVALUATORS
from vatt_gh.evaluation.protocols import PROTOCOLS
from vatt_gh.evaluation.scoring import evaluate_workdir

# What scoring reads of a run.
RUN = ("config.json", "vocabulary.txt", "checkpoints")


def link_run(run: Path, workdir: Path) -> Path:
    """Makes a work directory in which a finished run can be scored; the run gets no file."""
    workdir.mkdir(exist_ok=True)
    for name in RUN:
        (workdir / name).symlink_to((run / name).absolute())
    return workdir


def score_set(config: ConfigDict, workdir: Path, name: str) -> dict:
    """Builds and scores a set.

    Args:
        config: of mode=evaluate.
        workdir: with a run, or none where `init_from` says what is scored.
        name: of the set, a key of PROTOCOLS.

    Returns:
        The results, which are in the work directory's files, too.
    """
    results = evaluate_workdir(config, workdir, build=build_for)
    evaluator = PROTOCOLS[name].evaluator
    assert json.loads((workdir / f"results_{name}.json").read_text()) == results
    scores = results[evaluator]
    assert results[EVALUATORS[evaluator].count_key] > 0 and results["unreadable"] == 0
    assert all({"value", "untrained"} <= score.keys() for score in scores.values())
    assert not any("published" in score for score in scores.values())  # of no such small model
    assert evaluator in (workdir / "index.html").read_text()
    words, said = results["protocol"], (workdir / f"results_{name}.md").read_text()
    assert words["data set"] == name and words["evaluator"] == evaluator
    assert all(text in said for text in words.values())
    for measure, score in scores.items():
        [line] = [x for x in said.splitlines() if x.startswith(f"| {evaluator} {measure} ")]
        assert f"| {score['value']:.4g} |" in line and f"| {score['untrained']:.4g} |" in line
    return results
