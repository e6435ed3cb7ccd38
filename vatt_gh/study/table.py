"""From the runs' results to a table: means, 95 % intervals, differences to plain VATT by seed."""

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
    """A row of study.csv.

    Args:
        run: what was trained.
        results: its results.json.
        settings: {"a.b": value}, every key that differs from the default.

    Returns:
        What the run is, all its scores and their references, and its settings as JSON.
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
    """The rows as comma-separated values, with a heading."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % confidence interval by Student's t.

    Args:
        values: of independent runs.

    Returns:
        Mean and half width; NaN for the width of fewer than two values.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan")
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return mean, float(stats.t.ppf(0.975, len(values) - 1) * error)


def differences(rows: Sequence[Row], column: str) -> dict[tuple[str, str, str], list[float]]:
    """What each method has more than plain VATT of the same model, corpus and seed.

    Args:
        rows: of the study.
        column: such as "retrieval.r5.value".

    Returns:
        {(model, corpus, method): differences, one a seed that both have}.
    """
    value = {(r["model"], r["corpus"], r["method"], r["seed"]): r[column] for r in rows}
    found: dict[tuple[str, str, str], list[float]] = {}
    for (model, corpus, method, seed), score in value.items():
        plain = value.get((model, corpus, "plain", seed))
        if method != "plain" and plain is not None:
            found.setdefault((model, corpus, method), []).append(score - plain)
    return found


def to_markdown(rows: Sequence[Row]) -> str:
    """Two tables a model: scores, and differences to plain VATT; each a mean +- its interval.

    Args:
        rows: of the study.

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
        # Every seed has a start of its own, which all its runs share.
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
    """A table a model and kind of plant: the mean area under the ROC curve at three times.

    Args:
        rows: of signals.csv; () gives "".

    Returns:
        Markdown; 0.5 is what knows nothing. Of plain VATT alone where it is there.
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
