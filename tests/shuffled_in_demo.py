"""Scores a finished demo in every way, with what is true and with labels and captions shuffled.

    python tests/shuffled_in_demo.py work/demo

The held-out corpus is scored in its own layout, and its scenes in those of UCF101, ESC-50, AudioSet
and YouCook2, so that every evaluator has its turn. Each score stands beside the untrained model's,
with 95 % intervals. Ends with an error if an interval of a shuffled score is above the untrained
model's; in the demo's whole form, also if one of a true score is not.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from evaluation.set_scores import link_run
from ml_collections import ConfigDict
from scene_sets import OWN, WRITERS, read_scenes, write_corpus

from tfds_builders.build import build_for
from vatt_gh.demo.planted import planted_of
from vatt_gh.evaluation.evaluators import EVALUATORS
from vatt_gh.evaluation.loading import stored_config
from vatt_gh.evaluation.measures import Score
from vatt_gh.evaluation.scoring import evaluate_workdir


def config_of(run: Path, folder: Path, name: str) -> ConfigDict:
    """The run's configuration, to be scored on the set `name` in a folder."""
    config = stored_config(run)
    config.mode = "evaluate"
    config.eval.builder = config.eval.data_dir = config.eval.split = ""
    config.data.builder, config.data.split = name, ""
    config.data.manual_dir, config.data.data_dir = str(folder / name), str(folder / "records")
    config.eval.truth = str(folder / name / "alignment.jsonl") if name == OWN else ""
    return config


def scored(run: Path, folder: Path) -> dict[str, Score]:
    """Scores of a run on all sets of a folder, by set and name, without those of single folds."""
    workdir = link_run(run, folder / "run")
    scores = {}
    for name in (OWN, *WRITERS):
        config = config_of(run, folder, name)
        known = planted_of(config.eval)
        results = evaluate_workdir(config, workdir, build=build_for, known=known)
        for group in EVALUATORS:
            for measure, score in results.get(group, {}).items():
                if "low" in score and "_fold" not in measure and "_test" not in measure:
                    scores[f"{name} {group}.{measure}"] = score
    return scores


def beats(name: str, score: Score) -> bool:
    """Whether the interval is on the better side of the untrained model's."""
    if name.endswith("median_rank"):
        return score["high"] < score["untrained_low"]
    return score["low"] > score["untrained_high"]


def row_of(name: str, *scores: Score) -> str:
    """A row of the table: each score, then the untrained model's."""
    cells = [
        f"{score[value]:.3f} ({score[low]:.3f} to {score[high]:.3f})"
        for score in scores
        for value, low, high in (
            ("value", "low", "high"),
            ("untrained", "untrained_low", "untrained_high"),
        )
    ]
    return f"| {' | '.join([name, *cells])} |"


def main(run: Path) -> None:
    """See the module."""
    corpus = run / "corpus" / "heldout"
    scenes, rng = read_scenes(corpus), np.random.default_rng(0)
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for kind in ("true", "shuffled"):
            folder, drawn = Path(place) / kind, rng if kind == "shuffled" else None
            write_corpus(corpus, folder / OWN, drawn)
            for name, write in WRITERS.items():
                write(scenes if drawn is None else scenes.shuffled(drawn), folder / name)
            found[kind] = scored(run, folder)
    sets = {name.partition(" ")[0] for name in found["true"]}
    if sets != {OWN, *WRITERS} or found["true"].keys() != found["shuffled"].keys():
        sys.exit(f"scores are missing: there are those of {', '.join(sorted(sets))}")
    print("| score | true | untrained | shuffled | untrained |\n|---|---|---|---|---|")
    for name, score in found["true"].items():
        print(row_of(name, score, found["shuffled"][name]))
    whole = scenes.videos[-1] >= 100  # as many as the short form never has
    wrong = [f"{name}, shuffled, beats" for name, x in found["shuffled"].items() if beats(name, x)]
    if whole:
        wrong += [
            f"{name} does not beat" for name, x in found["true"].items() if not beats(name, x)
        ]
    if wrong:
        sys.exit("\n".join(f"{each} the untrained model" for each in wrong))
    print(json.dumps({kind: sum(beats(n, x) for n, x in found[kind].items()) for kind in found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
