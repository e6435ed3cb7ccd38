"""Common parts of all pictures: size, colours, text, and writing to disk.

Figures use matplotlib's object interface and are never registered with pyplot, so that a training
loop can draw in any thread and nothing stays open.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vatt_gh.files import replacing

WIDTH_INCHES = 10.0
DPI = 100  # 1000 pixels wide

BLUE, ORANGE, GREEN, RED, GREY = "#1f5fa8", "#d9730d", "#2a8c4a", "#b3261e", "#6b6b6b"
PALETTE = (BLUE, ORANGE, GREEN, RED, "#7a4fa3", "#2f8f9d")

# Up to this many points a line also shows its points, so that a single row is visible.
_FEW_POINTS = 30


def new_figure(title: str, height_inches: float) -> Figure:
    """Returns an empty figure of the common width with its title set."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    FigureCanvasAgg(figure)
    figure.suptitle(drawable(title), fontsize=14, fontweight="bold", parse_math=False)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes the figure as a PNG; creates the folder if it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=DPI)


def tidy(axes: Axes, grid: bool = True) -> None:
    """Sets the common text sizes and, with `grid`, a light grid instead of the full frame."""
    axes.tick_params(labelsize=11)
    axes.xaxis.label.set_size(12)
    axes.yaxis.label.set_size(12)
    if grid:
        axes.grid(color="#e3e3e3", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)


def note_missing(axes: Axes, text: str) -> None:
    """Writes a sentence in the middle of axes without data."""
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=14, color=GREY
    )


def legend_above(
    axes: Axes, columns: int, handles: Sequence[Artist], labels: Sequence[str]
) -> None:
    """Puts the legend between the title and the axes, where it covers no data."""
    legend = axes.legend(
        handles,
        labels,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=11,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """Puts the legend of one of the figure's axes below all of them."""
    handles, labels = axes.get_legend_handles_labels()
    place = "outside lower center"
    figure.legend(handles, labels, loc=place, ncols=columns, frameon=False, fontsize=11)


def marker(points: int) -> str | None:
    """Returns the marker for a line of so many points: a dot if they are few."""
    return "o" if points <= _FEW_POINTS else None


def drawable(text: str) -> str:
    """Returns text on one line, with a white square for characters without a glyph.

    matplotlib would warn about each of them, and captions may be in any script.
    """
    charmap = font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
    return "".join(c if ord(c) in charmap else "\N{WHITE SQUARE}" for c in " ".join(text.split()))


def by_step(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the rows sorted by step, one per step.

    A resumed run repeats the steps after its last checkpoint; the later row is kept, because
    training continued from its parameters.
    """
    last = {row["step"]: row for row in rows if row.get("step") is not None}
    return [last[step] for step in sorted(last)]


def column(rows: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """Returns one number per row, float64 [N], NaN if it is missing or null."""
    return np.array([row.get(key) for row in rows], dtype=np.float64)
