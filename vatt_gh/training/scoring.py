"""Scores a work directory: its newest checkpoint to results.json and the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from vatt_gh.data.records import open_source
from vatt_gh.data.sources import find_or_build
from vatt_gh.data.text import read_vocabulary
from vatt_gh.demo.truth import Truth
from vatt_gh.evaluation.evaluate import evaluate, similarity_of
from vatt_gh.evaluation.features import Clips
from vatt_gh.evaluation.retrieval import ranks
from vatt_gh.report import RetrievalExample
from vatt_gh.report.run import Aligned, write_report
from vatt_gh.training.loop import load_for_evaluation

SHOWN = 8  # retrieval examples in the report
TOP = 5  # clips a retrieval example


def evaluate_workdir(
    config: ConfigDict, workdir: Path, *, aligned: Aligned | None = None
) -> dict[str, Any]:
    """Scores the newest checkpoint and writes results.json and the report.

    Args:
        config: the whole configuration, as in training.
        workdir: of the run.
        aligned: the truth about windows of the training corpus, for the report.

    Returns:
        The results, see `evaluate`.

    Raises:
        UserError: there is no checkpoint, or no records to evaluate on.
    """
    held_out = config.copy_and_resolve_references()
    data = held_out.data
    if config.eval.data_dir or config.eval.builder not in ("", data.builder):
        data.data_dir, data.manual_dir = config.eval.data_dir or data.data_dir, ""
    data.builder, data.split = config.eval.builder or data.builder, config.eval.split or data.split
    source = open_source(find_or_build(held_out), data.manual_dir, data.split)
    source.unreadable.log = workdir / "skipped.jsonl"
    words = read_vocabulary(workdir / "vocabulary.txt")
    model, state = load_for_evaluation(config, workdir, source, words)
    labels_of = _labels(config.eval.truth) if config.eval.truth else None
    results, clips = evaluate(
        model, state.params, state.statistics, source, words, config, labels_of
    )
    results["step"], results["unreadable"] = int(state.step), len(source.unreadable)
    partial = workdir / "results.partial"
    partial.write_text(json.dumps(results, indent=1) + "\n")
    partial.rename(workdir / "results.json")
    print_scores(results)
    page = write_report(workdir, aligned=aligned, examples=retrieval_rows(clips))
    print(f"Report: {page}")
    return results


def _labels(path: str) -> Any:
    """Classes by what can be seen (shape and colour) and by what can be heard (shape, motion)."""
    truth = Truth.load(Path(path))

    def classes(video: str, start: float, end: float) -> tuple[str, str]:
        window = truth.window(video, float(start), float(end))
        return f"{window.colour} {window.shape}", f"{window.shape} {window.motion}"

    return classes


def retrieval_rows(clips: Clips) -> list[RetrievalExample]:
    """Examples for the report: queries spread evenly over all, with their first clips."""
    similarity = similarity_of(clips)
    rank = ranks(similarity)
    examples = []
    count = len(rank)
    for query in np.unique(np.linspace(0, count - 1, SHOWN).astype(int)):
        first = np.argsort(-similarity[query], kind="stable")[:TOP]
        examples.append(
            RetrievalExample(
                query=str(clips.captions[query]),
                rank=int(rank[query]),
                clips=[clips.frames[i] for i in first],
                correct=[bool(i == query) for i in first],
            )
        )
    return examples


def print_scores(results: dict[str, Any]) -> None:
    """Prints every score with what guessing gives."""
    print(f"{results['clips']} held-out clips")
    for group in ("retrieval", "probe"):
        for name, score in results.get(group, {}).items():
            label = f"{group}.{name}"
            print(f"  {label:22} {score['value']:8.3f}   chance {score['chance']:8.3f}")
