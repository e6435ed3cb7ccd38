"""Turns results into tables: means, 95 % intervals, differences to other methods by seed."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from vatt_gh.evaluation.evaluators import EVALUATORS
from vatt_gh.report.results import SCORE_LABELS
from vatt_gh.study.plan import METHODS, Run

# Methods that others are compared with.
COMPARED = {
    "plain": "plain VATT",
    "random": "a quarter dropped at random (`random`)",
    "random_half": "a half dropped at random (`random_half`)",
}
_MOMENTS = 5  # most steps in a table of signals
_OF_SCORE = ("value", "chance", "untrained", "ceiling")
Row = dict[str, Any]


def row_of(
    run: Run, results: dict[str, Any], settings: dict[str, Any], metrics: Sequence[Row]
) -> Row:
    """Makes a row of study.csv.

    Args:
        run: the training run.
        results: its results.json.
        settings: {"a.b": value}, all keys that differ from the default.
        metrics: rows of its metrics.jsonl.

    Returns:
        The run's description, all its scores and their references, the mean share of the samples
        that the curriculum kept in the last tenth of training, and its settings as JSON.
    """
    row: Row = {
        "run": run.name,
        "model": run.model,
        "method": run.method,
        "caption_noise": run.corpus.caption_noise,
        "sound_noise": run.corpus.sound_noise,
        "corpus": run.corpus.name,
        "seed": run.seed,
        "step": results["step"],
        "clips": results["clips"],
    }
    for group in (name for name in EVALUATORS if name in results):
        for name, score in results[group].items():
            for reference in _OF_SCORE:
                if reference in score:
                    row[f"{group}.{name}.{reference}"] = score[reference]
    kept = [each["kept_share"] for each in metrics if "kept_share" in each]
    row["kept_share"] = float(np.mean(kept[-math.ceil(len(kept) / 10) :]))
    return row | {"settings": json.dumps(settings, sort_keys=True)}


def to_csv(rows: Sequence[Row]) -> str:
    """Formats the rows as comma-separated values, with a header."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Computes the mean and the half width of its 95 % confidence interval by Student's t.

    Args:
        values: values from independent runs.

    Returns:
        Mean and half width; the half width of fewer than two values is NaN.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan")
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return mean, float(stats.t.ppf(0.975, len(values) - 1) * error)


def paired_differences(
    rows: Sequence[Row], column: str, reference: str = "plain"
) -> dict[tuple[str, str, str], list[float]]:
    """Computes the differences of each method to another with the same model, corpus and seed.

    Args:
        rows: rows of the study.
        column: name of a column, for example "retrieval.r5.value".
        reference: the other method.

    Returns:
        {(model, corpus, method): differences, one per seed that both have}.
    """
    value = {(r["model"], r["corpus"], r["method"], r["seed"]): r[column] for r in rows}
    found: dict[tuple[str, str, str], list[float]] = {}
    for (model, corpus, method, seed), score in value.items():
        other = value.get((model, corpus, reference, seed))
        if method != reference and other is not None:
            found.setdefault((model, corpus, method), []).append(score - other)
    return found


def to_markdown(rows: Sequence[Row]) -> str:
    """Makes tables per model: scores, and differences to other methods, as mean +- interval.

    Args:
        rows: rows of the study.

    Returns:
        Markdown.
    """
    parts = []
    for model in dict.fromkeys(row["model"] for row in rows):
        some = [row for row in rows if row["model"] == model]
        parts += [f"## {model}", "", *_scores(some), ""]
        for reference in (name for name in COMPARED if any(r["method"] == name for r in some)):
            parts += [*_gains(some, reference), ""]
    return "\n".join(parts)


def _scores(rows: Sequence[Row]) -> list[str]:
    lines = _head("Scores: mean, 95 % interval over seeds")
    for reference in ("chance", "ceiling"):
        columns = [[r.get(f"{'.'.join(k)}.{reference}", "") for r in rows] for k in SCORE_LABELS]
        shown = ["" if "" in column else f"{np.mean(column):.3f}" for column in columns]
        lines.append(f"| | {reference} | | {' | '.join(shown)} |")
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        # Every corpus has a vocabulary of its own, and so another start of each seed.
        starts = {r["seed"]: r for r in rows[::-1] if r["corpus"] == corpus}.values()
        columns = [[r[f"{'.'.join(key)}.untrained"] for r in starts] for key in SCORE_LABELS]
        lines.append(_line(corpus, "untrained", columns))
        for method in METHODS:
            some = [r for r in rows if (r["corpus"], r["method"]) == (corpus, method)]
            if some:
                columns = [[r[f"{'.'.join(key)}.value"] for r in some] for key in SCORE_LABELS]
                lines.append(_line(corpus, method, columns))
    return lines


def _gains(rows: Sequence[Row], reference: str) -> list[str]:
    lines = _head(f"More than {COMPARED[reference]} of the same seed: mean, 95 % interval")
    found = [paired_differences(rows, f"{'.'.join(key)}.value", reference) for key in SCORE_LABELS]
    lines += [_line(key[1], key[2], [each[key] for each in found]) for key in found[0]]
    return lines


def _head(title: str) -> list[str]:
    headings = " | ".join(SCORE_LABELS.values())
    return [f"{title}.", "", f"| corpus | method | seeds | {headings} |", "|---" * 8 + "|"]


def _line(corpus: str, method: str, columns: Sequence[Sequence[float]]) -> str:
    cells = " | ".join(_with_interval(values) for values in columns)
    return f"| {corpus} | {method} | {len(columns[0])} | {cells} |"


def _with_interval(values: Sequence[float]) -> str:
    mean, half = t_interval(values)
    return f"{mean:.3f}" + ("" if np.isnan(half) else f" ± {half:.3f}")


def signals_to_markdown(rows: Sequence[Row]) -> str:
    """Makes a table per model, corpus and method: areas under the ROC curve over training.

    Args:
        rows: rows of signals.csv; () gives "".

    Returns:
        Markdown; 0.5 is chance. Means with 95 % intervals over seeds, at most at `_MOMENTS` steps.
    """
    parts = []
    kinds = ("model", "corpus", "method", "planted")
    for kind in dict.fromkeys(tuple(row[k] for k in kinds) for row in rows):
        of_kind = [row for row in rows if tuple(row[k] for k in kinds) == kind]
        steps = sorted({row["step"] for row in of_kind})
        times = [steps[round(n)] for n in np.linspace(0, len(steps) - 1, min(len(steps), _MOMENTS))]
        model, corpus, method, planted = kind
        parts += [f"## {model}, {corpus}, {method}: areas for planted {planted}", ""]
        parts += ["| signal | visits | seeds | " + " | ".join(f"step {t}" for t in times) + " |"]
        parts += ["|---" * (3 + len(times)) + "|"]
        for signal, visits in dict.fromkeys((row["signal"], row["visits"]) for row in of_kind):
            some = [row for row in of_kind if (row["signal"], row["visits"]) == (signal, visits)]
            found = [[row["auc"] for row in some if row["step"] == time] for time in times]
            cells = " | ".join(_with_interval(areas) for areas in found)
            parts.append(f"| {signal} | {visits} | {len(found[-1])} | {cells} |")
        parts.append("")
    return "\n".join(parts)
