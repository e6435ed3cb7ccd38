"""Turns results into tables: means, 95 % intervals, differences to plain VATT by seed."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from vatt_gh.evaluation.evaluators import EVALUATORS
from vatt_gh.study.plan import METHODS, Run

# Scores of results.json that the tables show: (group, name), and their heading.
SHOWN = {
    ("retrieval", "r5"): "R@5",
    ("retrieval", "r10"): "R@10",
    ("retrieval", "median_rank"): "median rank",
    ("probe", "video_accuracy"): "video probe",
    ("probe", "audio_accuracy"): "audio probe",
}
REFERENCES = ("value", "chance", "untrained", "ceiling")
Row = dict[str, Any]


def row_of(run: Run, results: dict[str, Any], settings: dict[str, Any]) -> Row:
    """Makes a row of study.csv.

    Args:
        run: the training run.
        results: its results.json.
        settings: {"a.b": value}, all keys that differ from the default.

    Returns:
        The run's description, all its scores and their references, and its settings as JSON.
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
            for reference in REFERENCES:
                if reference in score:
                    row[f"{group}.{name}.{reference}"] = score[reference]
    return row | {"settings": json.dumps(settings, sort_keys=True)}


def to_csv(rows: Sequence[Row]) -> str:
    """The rows as comma-separated values, with a header."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % confidence interval by Student's t.

    Args:
        values: from independent runs.

    Returns:
        Mean and half width; the half width of fewer than two values is NaN.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan")
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return mean, float(stats.t.ppf(0.975, len(values) - 1) * error)


def differences(rows: Sequence[Row], column: str) -> dict[tuple[str, str, str], list[float]]:
    """Differences of each method to plain VATT with the same model, corpus and seed.

    Args:
        rows: rows of the study.
        column: for example "retrieval.r5.value".

    Returns:
        {(model, corpus, method): differences, one per seed that both have}.
    """
    value = {(r["model"], r["corpus"], r["method"], r["seed"]): r[column] for r in rows}
    found: dict[tuple[str, str, str], list[float]] = {}
    for (model, corpus, method, seed), score in value.items():
        plain = value.get((model, corpus, "plain", seed))
        if method != "plain" and plain is not None:
            found.setdefault((model, corpus, method), []).append(score - plain)
    return found


def to_markdown(rows: Sequence[Row]) -> str:
    """Makes two tables per model: scores, and differences to plain VATT, as mean +- interval.

    Args:
        rows: rows of the study.

    Returns:
        Markdown.
    """
    parts = []
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        parts += [f"## {model}", "", *_scores(own), "", *_gains(own), ""]
    return "\n".join(parts)


def _scores(rows: Sequence[Row]) -> list[str]:
    lines = _head("Scores: mean, 95 % interval over seeds")
    for reference in REFERENCES[1:]:
        # Every seed has its own initial parameters, which all its runs share.
        by_seed = {row["seed"]: row for row in rows}.values()
        columns = [[r.get(f"{'.'.join(key)}.{reference}", "") for r in by_seed] for key in SHOWN]
        shown = ["" if "" in column else f"{np.mean(column):.3f}" for column in columns]
        lines.append(f"| | {reference} | | {' | '.join(shown)} |")
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        for method in METHODS:
            some = [r for r in rows if (r["corpus"], r["method"]) == (corpus, method)]
            if some:
                columns = [[r[f"{'.'.join(key)}.value"] for r in some] for key in SHOWN]
                lines.append(_line(corpus, method, columns))
    return lines


def _gains(rows: Sequence[Row]) -> list[str]:
    lines = _head("More than plain VATT of the same seed: mean, 95 % interval")
    found = [differences(rows, f"{'.'.join(key)}.value") for key in SHOWN]
    lines += [_line(key[1], key[2], [each[key] for each in found]) for key in found[0]]
    return lines


def _head(title: str) -> list[str]:
    headings = " | ".join(SHOWN.values())
    return [f"{title}.", "", f"| corpus | method | seeds | {headings} |", "|---" * 8 + "|"]


def _line(corpus: str, method: str, columns: Sequence[Sequence[float]]) -> str:
    cells = []
    for values in columns:
        mean, half = interval(values)
        cells.append(f"{mean:.3f}" + ("" if np.isnan(half) else f" ± {half:.3f}"))
    return f"| {corpus} | {method} | {len(columns[0])} | {' | '.join(cells)} |"


def signals_to_markdown(rows: Sequence[Row]) -> str:
    """Makes a table per model and kind of noise: mean area under the ROC curve at three times.

    Args:
        rows: rows of signals.csv; () gives "".

    Returns:
        Markdown; 0.5 is chance. Shows only plain VATT if it is there.
    """
    parts = []
    rows = [r for r in rows if r["method"] == "plain"] or rows
    for model, planted in dict.fromkeys((r["model"], r["planted"]) for r in rows):
        own = [r for r in rows if (r["model"], r["planted"]) == (model, planted)]
        steps = sorted({r["step"] for r in own})
        times = [steps[round(k * (len(steps) - 1) / 2)] for k in range(3)] if steps else []
        times = list(dict.fromkeys(times))
        parts += [f"## {model}: area under the ROC curve for planted {planted}", ""]
        parts += ["| signal | visits | " + " | ".join(f"step {t}" for t in times) + " |"]
        parts += ["|---" * (2 + len(times)) + "|"]
        for signal, visits in dict.fromkeys((r["signal"], r["visits"]) for r in own):
            some = [r for r in own if (r["signal"], r["visits"]) == (signal, visits)]
            means = [np.mean([r["auc"] for r in some if r["step"] == time]) for time in times]
            cells = " | ".join(f"{mean:.3f}" for mean in means)
            parts.append(f"| {signal} | {visits} | {cells} |")
        parts.append("")
    return "\n".join(parts)
