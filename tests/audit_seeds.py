"""What an audit's list is worth: training on all clips, without the worst, without others.

    python -m tests.audit_seeds WORKDIR SEED [SEED ...]

On the study's corpus with half of the captions wrong, plain VATT with three towers. For each seed
it trains on all clips, audits them, trains without the worst fifth, and without as many clips
drawn at random; then it prints a row of docs/study.md. Finished runs are not made again. A seed
takes a quarter of an hour on one core.
"""

import csv
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import jax
import numpy as np
import pyarrow.parquet as pq
from ml_collections import ConfigDict
from tiny_run import load_experiment

from tfds_builders.build import build_for
from vatt_gh.audit.run import audit
from vatt_gh.audit.worst import caption_stretches
from vatt_gh.data.selection import COLUMNS
from vatt_gh.demo.planted import aligned_of, planted_of
from vatt_gh.demo.run import prepare, prepare_heldout, use_corpus
from vatt_gh.evaluation.scoring import evaluate_workdir
from vatt_gh.study.plan import Corpus, Run
from vatt_gh.training.loop import pretrain


def config_of(seed: int, work: Path) -> ConfigDict:
    """The study's plain VATT, and where its corpus and records are."""
    config = load_experiment("study")
    config.mode, config.train.keep_checkpoints = "pretrain", 1
    run = Run("three_tower", Corpus(caption_noise=0.5, sound_noise=0.0), "plain", seed)
    config.update_from_flattened_dict(run.changes(config.train.steps))
    name, noise = run.corpus.name, dataclasses.asdict(run.corpus)
    videos, of_corpus = config.demo.videos, config.study.corpus_seed
    prepare(config, work, name, build_for, videos=videos, seed=of_corpus, **noise)
    prepare_heldout(config, work, of_corpus, build_for)
    use_corpus(config, work, name)
    config.audit.truth = str(work / "corpus" / name / "alignment.jsonl")
    return config


def scores_of(config: ConfigDict, folder: Path) -> dict[str, Any]:
    """Trains and scores, unless that is done."""
    if not (folder / "results.json").exists():
        pretrain(config, folder)
        evaluate_workdir(config, folder, known=planted_of(config.eval))
    return json.loads((folder / "results.json").read_text())


def summary_of(config: ConfigDict, folder: Path) -> dict[str, Any]:
    """Audits the clips, unless that is done."""
    done = folder / "audit" / "summary.json"
    if not done.exists():
        audit(config, folder, aligned_of(config.audit.truth))
    if "caption_start" not in pq.read_schema(folder / "audit" / "scores.parquet").names:
        sys.exit(f"{folder} was audited by an earlier version: give another WORKDIR")
    return json.loads(done.read_text())


def write_random(audited: Path, seed: int, path: Path) -> None:
    """Lists as many clips of each modality as the worst ones, drawn from those with a loss."""
    scores = pq.read_table(audited / "scores.parquet").to_pydict()
    with (audited / "worst.csv").open(newline="") as file:
        worst = [row["modality"] for row in csv.DictReader(file)]
    clips = np.stack([scores["start"], scores["end"]], axis=1)
    captions = caption_stretches(scores["video_id"], scores["caption_start"], scores["caption_end"])
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for modality in sorted(set(worst)):
            stretches = captions if modality == "text" else clips
            there = [k for k, x in enumerate(scores[f"loss_{modality}"]) if x is not None]
            for k in rng.choice(there, worst.count(modality), replace=False):
                ends = (f"{end:.3f}" for end in stretches[k])
                table.writerow([scores["video_id"][k], *ends, modality])


def row_of(seed: int, work: Path) -> str:
    """Makes the three runs of a seed, and returns their row."""
    everything, config = work / f"all-{seed}", config_of(seed, work)
    runs = [scores_of(config, everything)]
    planted = summary_of(config, everything)["planted"]["text"]
    write_random(everything / "audit", seed, work / f"random-{seed}.csv")
    lists = {"worst": everything / "audit" / "worst.csv", "random": work / f"random-{seed}.csv"}
    for name, path in lists.items():
        config.data.without = str(path)
        runs.append(scores_of(config, work / f"{name}-{seed}"))
    r5 = [run["retrieval"]["r5"] for run in runs]
    shares = [planted[name] for name in ("value", "untrained", "chance")]
    cells = [*shares, *(score["value"] for score in r5), r5[0]["untrained"]]
    return f"| {seed} | {' | '.join(f'{cell:.3f}' for cell in cells)} |"


def main() -> None:
    """See the module."""
    work, seeds = Path(sys.argv[1]).absolute(), [int(seed) for seed in sys.argv[2:]]
    work.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(work / "programs"))
    print(
        "| seed | worst fifth: planted | of the untrained model's | of all | "
        "R@5, all | without the worst | without random | untrained |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for seed in seeds:
        print(row_of(seed, work), flush=True)


if __name__ == "__main__":
    main()
