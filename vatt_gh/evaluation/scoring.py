"""Scores a work directory: newest checkpoint -> results.json and the report."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from vatt_gh.data.records import Source, open_source
from vatt_gh.data.sources import Build, find_or_build
from vatt_gh.data.text import read_vocabulary
from vatt_gh.evaluation.evaluators import EVALUATORS, evaluate
from vatt_gh.evaluation.features import Clips
from vatt_gh.evaluation.held_out import TRAINED, UNTRAINED, HeldOut, Known
from vatt_gh.evaluation.loading import load_for_evaluation, weights_of
from vatt_gh.evaluation.protocols import PROTOCOLS
from vatt_gh.evaluation.retrieval import Retrieval, ranks, similarity_of
from vatt_gh.files import read_object
from vatt_gh.media.rates import check_rate
from vatt_gh.report.examples import RetrievalExample
from vatt_gh.report.page import known_references
from vatt_gh.report.plots import EVAL_PREFIX
from vatt_gh.report.results import PROTOCOL, write_results
from vatt_gh.report.run import Aligned, write_report
from vatt_gh.training.construct import model_of
from vatt_gh.training.loop import Scorer
from vatt_gh.training.parallel import all_hosts
from vatt_gh.training.step import TrainState
from vatt_gh.training.writer import of_host

_EXAMPLES = 8  # retrieval examples in the report
_BEST = 5  # clips per retrieval example


def evaluate_workdir(
    config: ConfigDict,
    workdir: Path,
    *,
    build: Build | None = None,
    known: Known | None = None,
    aligned: Aligned | None = None,
    plain: Path | None = None,
) -> dict[str, Any]:
    """Scores the newest checkpoint and writes the results and the report.

    The files are results.json and results.md; for a downstream set, results_NAME.json and
    results_NAME.md; for another split than its protocol's, results_NAME_SPLIT.json.

    Args:
        config: the whole configuration, as in training.
        workdir: work directory of the run.
        build: builds missing records, see `find_or_build`.
        known: the truth about the held-out clips; None: no probes and no ceiling.
        aligned: the truth about windows of the training corpus, for the report.
        plain: work directory of plain VATT, scored on the same clips, for comparison.

    Returns:
        The results, see `evaluate`, with the step, the number of unreadable records, and
        'protocol': how they were taken, in words.

    Raises:
        UserError: there is no checkpoint, or no records to evaluate on.
    """
    source = held_out_source(config, workdir, build)
    model, drawn, state, words, *_ = load_for_evaluation(config, workdir, source.audio_rate)
    weights = {TRAINED: weights_of(state), UNTRAINED: weights_of(drawn)}
    held_out = HeldOut(model, weights, source, words, config, known)
    results = evaluate(held_out)
    unreadable = set().union(*all_hosts(source.unreadable.seen))
    results["step"], results["unreadable"] = int(state.step), len(unreadable)
    results[PROTOCOL] = _protocol(held_out)
    if jax.process_index() != 0:
        return results  # every process knows all scores, but only one writes
    if plain is not None:
        _beside(results, read_object(plain / "results.json"))
    write_results(workdir, _name(config), results)
    print_scores(results)
    examples = retrieval_rows(held_out.queries(TRAINED)) if Retrieval.name in results else []
    page = write_report(workdir, aligned=aligned, examples=examples, plain=plain)
    print(f"Report: {page}")
    return results


def _name(config: ConfigDict) -> str:
    """Names the results' files."""
    builder, split = config.eval.builder or config.data.builder, config.eval.split
    protocol = PROTOCOLS.get(builder)
    if protocol is None:
        return "results"
    another = f"_{split}" if protocol.test and split not in ("", protocol.test) else ""
    return f"results_{builder}{another}"


def _protocol(held_out: HeldOut) -> dict[str, str]:
    """Describes how the results were taken, in words."""
    config, protocol = held_out.config, PROTOCOLS.get(held_out.builder)
    words = {"data set": held_out.builder, "checkpoint": config.eval.checkpoint}
    if protocol is not None:
        return words | protocol.described(config.eval)
    return words | {
        "split": config.eval.split or config.data.split or "all",
        "windows": "one around the middle of each caption; of overlapping ones the first",
    }


def scorer(
    config: ConfigDict, workdir: Path, known_of: Callable[[ConfigDict], Known | None]
) -> Callable[[int], Scorer] | None:
    """Makes a function that scores a run during training, every `eval.every` steps.

    Args:
        config: the whole configuration.
        workdir: work directory of the run.
        known_of: returns the truth about the held-out clips, from the section `eval`.

    Returns:
        None if eval.every is 0; else a function for `pretrain` that opens the held-out records,
        raises UserError if there are none or their sound has another rate, and returns a function
        from a run's state to numbers for a row of metrics.jsonl, such as
        {'eval.retrieval.r5': 0.12}.
    """
    if not config.eval.every:
        return None

    def opened(audio_rate: int) -> Scorer:
        source, known = held_out_source(config, workdir), known_of(config.eval)
        where, sound = source.directories[0], "The held-out sound"
        check_rate(source.audio_rate, audio_rate, "that of training has", where, sound)
        words = read_vocabulary(workdir / "vocabulary.txt")
        model = model_of(config, words=len(words), audio_rate=source.audio_rate)

        def score(state: TrainState) -> dict[str, float]:
            weights = {TRAINED: weights_of(state)}
            return as_row(evaluate(HeldOut(model, weights, source, words, config, known)))

        return score

    return opened


def as_row(results: dict[str, Any], groups: Iterable[str] = EVALUATORS) -> dict[str, float]:
    """Converts groups of results to the numbers of a row, such as {'eval.retrieval.r5': 0.12}."""
    return {
        f"{EVAL_PREFIX}{group}.{name}": score["value"]
        for group in groups
        for name, score in results.get(group, {}).items()
    }


def held_out_source(config: ConfigDict, workdir: Path, build: Build | None = None) -> Source:
    """Opens the records that the configuration evaluates on; builds them if missing.

    Args:
        config: the whole configuration.
        workdir: gets the list of unreadable records.
        build: see `find_or_build`.

    Returns:
        The records.

    Raises:
        UserError: see `find_or_build` and `open_source`.
    """
    held_out = config.copy_and_resolve_references()
    data = held_out.data
    if config.eval.data_dir or config.eval.builder not in ("", data.builder):
        data.data_dir, data.manual_dir = config.eval.data_dir or data.data_dir, ""
    data.builder = config.eval.builder or data.builder
    # For a set with a protocol, the evaluators choose the splits.
    stored = "" if data.builder in PROTOCOLS else data.split
    data.split = config.eval.split or stored
    source = open_source(
        find_or_build(data, build), data.manual_dir, data.split, data.unreadable_share
    )
    source.unreadable.log = of_host(workdir, "skipped")
    return source


def _beside(results: dict[str, Any], plain: dict[str, Any]) -> None:
    """Adds plain VATT's value to every score."""
    for group in EVALUATORS:
        for name, score in results.get(group, {}).items():
            score["plain"] = plain[group][name]["value"]


def retrieval_rows(clips: Clips) -> list[RetrievalExample]:
    """Picks examples for the report: evenly spaced queries, with their top clips."""
    similarity = similarity_of(clips)
    rank = ranks(similarity)
    examples = []
    count = len(rank)
    for query in np.unique(np.linspace(0, count - 1, _EXAMPLES).astype(int)):
        first = np.argsort(-similarity[query], kind="stable")[:_BEST]
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
    """Prints the scores of every evaluator, see `print_group`."""
    groups = {g: (results[EVALUATORS[g].count_key], results[g]) for g in EVALUATORS if g in results}
    names = known_references([s for _, scores in groups.values() for s in scores.values()])
    for group, (count, scores) in groups.items():
        print_group(group, count, scores, names)


def print_group(
    group: str, count: int, scores: dict[str, dict[str, float]], names: Sequence[str]
) -> None:
    """Prints every score beside what it would be without the model, training or errors.

    Args:
        group: name of the scores.
        count: number of clips.
        scores: scores by name.
        names: the references that get a column.
    """
    print(f"{count:5} held-out clips {'score':>21}" + "".join(f"{name:>11}" for name in names))
    for name, score in scores.items():
        known = [f"{score[r]:11.3f}" if r in score else " " * 11 for r in names]
        print(f"  {f'{group}.{name}':31} {score['value']:8.3f}{''.join(known)}")
