"""The page of a study: scores against planted noise, by method."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vatt_gh.report import canvas
from vatt_gh.report.jsonl import Rows
from vatt_gh.report.page import write_page
from vatt_gh.report.results import SCORE_LABELS

# Kinds of noise in the corpora, and their labels on the axis.
_NOISES = {"caption_noise": "wrong captions", "sound_noise": "wrong sounds"}
_SCORES = (("retrieval", "r5"), ("probe", "video_accuracy"), ("probe", "audio_accuracy"))
_PANELS_PER_ROW = 2  # columns of panels
_SPREAD = 0.05  # spread of the dots at equal noise


def write_study_page(workdir: Path, rows: Rows, signals: Rows = ()) -> Path:
    """Writes WORKDIR/index.html with pictures for each model.

    Args:
        workdir: the study's directory.
        rows: rows of study.csv, see `vatt_gh.study.table`.
        signals: rows of signals.csv.

    Returns:
        Path of the page.
    """
    pictures = []
    for model in dict.fromkeys(row["model"] for row in rows):
        name = f"pictures/{model}.png"
        scores_by_noise([row for row in rows if row["model"] == model], workdir / name)
        explanation = (
            "Dots and crosses are runs, side by side by method, crosses where its line is dashed; "
            "bars, joined by lines, are means over seeds."
        )
        pictures.append((name, f"Scores by planted noise: {model}", explanation))
    for model in dict.fromkeys(row["model"] for row in signals):
        name = f"pictures/{model}_signals.png"
        areas_over_time([row for row in signals if row["model"] == model], workdir / name)
        explanation = "0.5 knows nothing. Means over seeds; the signals are averaged over visits."
        pictures.append((name, f"Which signal knows what was planted: {model}", explanation))
    summary = [
        ("runs", str(len(rows))),
        ("seeds", ", ".join(map(str, dict.fromkeys(row["seed"] for row in rows)))),
        ("all numbers", "study.csv; tables with intervals: study.md"),
    ]
    return write_page(
        workdir, title=f"Study: {workdir.name}", summary=summary, pictures=pictures, results={}
    )


def scores_by_noise(rows: Rows, path: Path) -> None:
    """Draws each score against the share that was planted wrong, one line per method.

    Args:
        rows: rows of one model.
        path: the PNG to write.
    """
    figure = canvas.new_figure("Scores by share of planted noise", 9.0)
    grid = figure.subplots(len(_SCORES), len(_NOISES), sharex=True, sharey="row", squeeze=False)
    for column, (noise, said) in enumerate(_NOISES.items()):
        other = next(name for name in _NOISES if name != noise)
        some = [row for row in rows if row[other] == 0]
        methods = list(dict.fromkeys(row["method"] for row in rows))
        for axes, score in zip(grid[:, column], _SCORES, strict=True):
            _draw(axes, some, methods, noise, f"{'.'.join(score)}.value")
            axes.set(ylabel=SCORE_LABELS[score] if column == 0 else "", xlim=(-0.05, 0.85))
            canvas.tidy(axes)
        grid[-1, column].set(xlabel=f"share of {said}")
    canvas.legend_below(figure, grid[0, 0], 6)
    canvas.save(figure, path)


def _draw(axes: Any, rows: Rows, methods: Sequence[str], noise: str, score: str) -> None:
    for number, method in enumerate(methods):
        some = [row for row in rows if row["method"] == method]
        # Side by side: dots at equal noise would hide one another.
        aside = _SPREAD * ((number + 0.5) / len(methods) - 0.5)
        shares = sorted({row[noise] for row in some})
        means = [np.mean([row[score] for row in some if row[noise] == share]) for share in shares]
        style = {"color": f"C{number % 10}", "linestyle": "-" if number < 10 else "--"}
        places = [share + aside for share in shares]
        axes.plot(places, means, marker="_", markersize=9, label=method, **style)
        dots = [row[noise] + aside for row in some], [row[score] for row in some]
        axes.scatter(*dots, s=12, color=style["color"], marker="o" if number < 10 else "x")


def areas_over_time(rows: Rows, path: Path) -> None:
    """Draws the area under the ROC curve of each signal over training time.

    Args:
        rows: rows of one model, see `vatt_gh.study.detection.areas`; only those with the largest
            number of visits are drawn.
        path: the PNG to write.
    """
    visits = max(row["visits"] for row in rows)
    rows = [row for row in rows if row["visits"] == visits]
    kinds = list(dict.fromkeys(_kind(row) for row in rows))
    columns = min(len(kinds), _PANELS_PER_ROW)
    lines = -(-len(kinds) // columns)
    figure = canvas.new_figure("AUC over training time", 2.5 + 4.0 * lines)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[len(kinds) :]:
        axes.set_visible(False)
    signals = list(dict.fromkeys(row["signal"] for row in rows))
    for axes, kind in zip(grid, kinds, strict=False):
        for number, signal in enumerate(signals):
            some = [row for row in rows if (_kind(row), row["signal"]) == (kind, signal)]
            steps = sorted({row["step"] for row in some})
            means = [np.mean([r["auc"] for r in some if r["step"] == step]) for step in steps]
            axes.plot(steps, means, color=f"C{number}", marker="o", label=signal)
        axes.axhline(0.5, color=canvas.GREY, linewidth=1, linestyle=":")
        corpus, method, planted = kind
        axes.set(
            title=f"{corpus}, {method}: wrong {planted}",
            xlabel="step",
            ylabel="AUC" if axes is grid[0] else "",
        )
        canvas.tidy(axes)
    canvas.legend_below(figure, grid[0], 3)
    canvas.save(figure, path)


def _kind(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Names the contents of a panel of `areas_over_time`."""
    return row["corpus"], row["method"], row["planted"]
