"""Scores a work directory: its newest checkpoint to results.json and the report."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from vatt_gh.data.records import open_source
from vatt_gh.data.sources import find_or_build
from vatt_gh.data.text import read_vocabulary
from vatt_gh.demo.narration import attributes_said
from vatt_gh.demo.truth import Truth
from vatt_gh.evaluation.evaluate import evaluate, similarity_of
from vatt_gh.evaluation.features import Clips
from vatt_gh.evaluation.retrieval import ranks
from vatt_gh.report import REFERENCES, RetrievalExample
from vatt_gh.report.run import Aligned, write_report
from vatt_gh.training.loop import load_for_evaluation

SHOWN = 8  # retrieval examples in the report
TOP = 5  # clips a retrieval example


def evaluate_workdir(
    config: ConfigDict,
    workdir: Path,
    *,
    aligned: Aligned | None = None,
    plain: Path | None = None,
) -> dict[str, Any]:
    """Scores the newest checkpoint and writes results.json and the report.

    Args:
        config: the whole configuration, as in training.
        workdir: of the run.
        aligned: the truth about windows of the training corpus, for the report.
        plain: work directory of plain VATT, scored on the same clips, to stand beside.

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
    source = open_source(
        find_or_build(held_out), data.manual_dir, data.split, data.unreadable_share
    )
    if jax.process_index() == 0:
        source.unreadable.log = workdir / "skipped.jsonl"
    words = read_vocabulary(workdir / "vocabulary.txt")
    model, drawn, state = load_for_evaluation(config, workdir, source, words)
    known = Planted(Truth.load(Path(config.eval.truth))) if config.eval.truth else None
    weights = [(s.params, s.statistics) for s in (state, drawn)]
    results, clips = evaluate(model, *weights, source, words, config, known)
    results["step"], results["unreadable"] = int(state.step), len(source.unreadable)
    if jax.process_index() != 0:
        return results  # every process scores all clips, one writes
    if plain is not None:
        _beside(results, json.loads((plain / "results.json").read_text()))
    partial = workdir / "results.partial"
    partial.write_text(json.dumps(results, indent=1) + "\n")
    partial.rename(workdir / "results.json")
    print_scores(results)
    page = write_report(workdir, aligned=aligned, examples=retrieval_rows(clips), plain=plain)
    print(f"Report: {page}")
    return results


def _beside(results: dict[str, Any], plain: dict[str, Any]) -> None:
    """Gives every score what plain VATT has."""
    for group in ("retrieval", "probe"):
        for name, score in results.get(group, {}).items():
            score["plain"] = plain[group][name]["value"]


class Planted:
    """What was planted in a rendered corpus, see evaluate.Known."""

    def __init__(self, truth: Truth):
        self._truth = truth

    def classes(self, video: str, start: float, end: float) -> tuple[str, str]:
        """By what can be seen (shape and colour) and by what can be heard (shape, motion)."""
        window = self._truth.window(video, float(start), float(end))
        return f"{window.colour} {window.shape}", f"{window.shape} {window.motion}"

    def similarity(self, clips: Clips) -> np.ndarray:
        """How many of the attributes that a caption names a clip shows."""
        where = zip(clips.video_ids, clips.start, clips.end, strict=True)
        windows = [self._truth.window(video, float(a), float(b)) for video, a, b in where]
        shown = [{w.shape, w.colour, w.motion} for w in windows]
        said = [attributes_said(str(caption)) for caption in clips.captions]
        return np.array([[len(query & clip) for clip in shown] for query in said])


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
    """Prints every score beside what it would be without the model, training or errors."""
    heads = "".join(f"{name:>11}" for name in REFERENCES)
    for group, clips in (("retrieval", "clips"), ("probe", "probe_clips")):
        if group in results:
            print(f"{results[clips]:5} held-out clips {'score':>12}{heads}")
        for name, score in results.get(group, {}).items():
            known = [f"{score[r]:11.3f}" if r in score else " " * 11 for r in REFERENCES]
            print(f"  {f'{group}.{name}':22} {score['value']:8.3f}{''.join(known)}")
