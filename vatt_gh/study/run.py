"""Runs a study: each run has its own work directory; all share corpora and records."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from vatt_gh.config import default, flatten
from vatt_gh.config.checks import validate
from vatt_gh.data.sources import Build
from vatt_gh.demo.planted import planted_of
from vatt_gh.demo.run import prepare, prepare_heldout, station, use_corpus
from vatt_gh.evaluation.scoring import evaluate_workdir, scorer
from vatt_gh.files import read_list, read_object, write_whole
from vatt_gh.locks import claimed, locked
from vatt_gh.report.jsonl import METRICS, read_jsonl
from vatt_gh.report.study import write_study_page
from vatt_gh.study.detection import measure_signals, windows_of
from vatt_gh.study.plan import Corpus, Run, in_order, run_of, runs_of
from vatt_gh.study.table import Row, row_of, signals_to_markdown, to_csv, to_markdown
from vatt_gh.training.claims import claim_workdir
from vatt_gh.training.loop import pretrain

# Keys for locations on this machine, and for the selection of other runs.
_NO_SETTINGS = (
    *("data.data_dir", "data.manual_dir", "eval.data_dir", "eval.truth"),
    *(f"study.{key}" for key in ("seeds", "models", "methods", "noise", "only")),
)


DEFAULTS = "study_defaults.json"


def run_study(config: ConfigDict, workdir: Path, build: Build) -> None:
    """Does the unfinished runs; any number of processes may share a work directory.

    A run that another process works on is left to it; an interrupted run continues from its newest
    checkpoint.

    Args:
        config: the whole configuration.
        workdir: gets corpora, records, runs, study.csv, study_defaults.json (which the settings of
            a row differ from), signals.csv, study.md and index.html.
        build: builds records, see `find_or_build`.

    Raises:
        UserError: see the stations of the demo, and `runs_of`.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    if not jax.config.jax_compilation_cache_dir:
        # Runs of one kind share one program, which takes longer to compile than to load.
        jax.config.update("jax_compilation_cache_dir", str(workdir / "programs"))
    runs = runs_of(config.study)
    for run in runs:
        validate(_config_of(config, run), devices=jax.device_count(), hosts=jax.process_count())
    for number, run in enumerate(runs, start=1):
        with claimed(workdir / "runs" / f"{run.name}.lock") as mine:
            if mine:
                print(f"== {number} of {len(runs)}: {run.name}", flush=True)
                _do(config, workdir, run, build)
    with locked(workdir / "tables.lock"):
        _write_tables(workdir)


def _write_tables(workdir: Path) -> None:
    """Writes the tables of all finished runs, not only of those requested from this process."""
    found = []
    for path in (workdir / "runs").glob("*/results.json"):
        stored = read_object(path.parent / "config.json")
        found.append((run_of(path.parent.name, stored), path, stored))
    found.sort(key=lambda each: in_order(each[0]))
    rows = [
        row_of(run, read_object(p), _settings(c), read_jsonl(p.parent / METRICS))
        for run, p, c in found
    ]
    if rows:
        write_whole(workdir / "study.csv", to_csv(rows))
        # What the settings of a row do not name.
        write_whole(workdir / DEFAULTS, json.dumps(flatten(default()), indent=1) + "\n")
        signals = _signals(workdir, [run for run, _, _ in found])
        if signals:
            write_whole(workdir / "signals.csv", to_csv(signals))
        text = f"{to_markdown(rows)}\n{signals_to_markdown(signals)}"
        write_whole(workdir / "study.md", text)
        page = write_study_page(workdir, rows, signals)
        print(f"{len(rows)} runs: {workdir / 'study.csv'}, {workdir / 'study.md'}, {page}")


def _do(config: ConfigDict, workdir: Path, run: Run, build: Build) -> None:
    config = _config_of(config, run)
    config.mode = "pretrain"
    folder = workdir / "runs" / run.name
    scored = (folder / "results.json").exists()
    measured = _measured(folder / "signals.json", config)
    if scored and not measured and not any((folder / "checkpoints").glob("[0-9]*")):
        print("   no checkpoint is left: its signals cannot be measured any more", flush=True)
        measured = True
    if scored:
        # Refuses a run with other settings, which is not comparable.
        claim_workdir(folder, config, lambda: None)
    if scored and measured:
        return
    _corpora(config, workdir, run.corpus, build)
    if not scored:
        with station("pre-training"):
            pretrain(config, folder, scoring=scorer(config, folder, planted_of))
    if not measured:
        with station("measuring signals"):
            rows = [{"run": run.name, **row} for row in measure_signals(config, folder)]
            write_whole(folder / "signals.json", json.dumps(rows))
    if not scored:
        with station("evaluating"):  # last: results.json marks the run as done
            evaluate_workdir(config, folder, known=planted_of(config.eval))


def _measured(path: Path, config: ConfigDict) -> bool:
    """Tells whether a run has the signals that are asked for."""
    windows = windows_of(config)
    if not windows:
        return True
    if not path.exists():
        return False
    rows = read_list(path)
    # Earlier versions left out the model before training.
    wanted = {row["windows"] for row in rows} == {windows} and any(not row["step"] for row in rows)
    return not rows or wanted


def _config_of(config: ConfigDict, run: Run) -> ConfigDict:
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(run.changes(config.train.steps))
    return config


def _corpora(config: ConfigDict, workdir: Path, corpus: Corpus, build: Build) -> None:
    """Renders and builds what is missing, one process at a time, and points the run to it."""
    noise = {"caption_noise": corpus.caption_noise, "sound_noise": corpus.sound_noise}
    videos, seed = config.demo.videos, config.study.corpus_seed
    with locked(workdir / "corpora.lock"):
        prepare(config, workdir, corpus.name, build, videos=videos, seed=seed, **noise)
        prepare_heldout(config, workdir, seed, build)
    use_corpus(config, workdir, corpus.name)


def _signals(workdir: Path, done: Sequence[Run]) -> list[Row]:
    """Returns the rows of all runs with measured signals, with the description of each run."""
    rows = []
    for run in done:
        path = workdir / "runs" / run.name / "signals.json"
        if path.exists():
            what = {"model": run.model, "corpus": run.corpus.name, "method": run.method}
            stored = read_list(path)
            # Earlier versions have rows of captions where none is planted.
            kept = [row for row in stored if run.corpus.planted[row["planted"]]]
            rows += [{**row, **what, "seed": run.seed} for row in kept]
    return rows


def _settings(stored: dict[str, Any]) -> dict[str, Any]:
    """Returns all keys that differ from the default and affect a run."""
    before = flatten(default())
    return {
        key: value
        for key, value in stored.items()
        if value != before.get(key) and key in before and key not in _NO_SETTINGS
    }
