"""Draws the clips that text-to-video retrieval finds for some queries."""

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from vatt_gh.report import canvas
from vatt_gh.report.strips import first_middle_last

_TEXT_INCHES = 0.8  # the query above the strips and the ranks below them
_MOST_STRIP_INCHES = 2.0
_FRAME_GAP_PIXELS = 2
_LINE_CHARACTERS = 100


@dataclass(frozen=True)
class RetrievalExample:
    """One text query and its first-ranked clips.

    Attributes:
        query: the text.
        rank: rank of the query's true clip among all clips, 1 is best.
        clips: the first clips in rank order, each uint8 [T, H, W, 3] RGB; sizes may differ.
        correct: whether each of `clips` is the true clip.
    """

    query: str
    rank: int
    clips: list[np.ndarray]
    correct: list[bool]


def retrieval_examples(examples: Sequence[RetrievalExample], path: str | os.PathLike[str]) -> None:
    """Draws one row per query: its text, and its first clips as strips of three frames.

    Args:
        examples: the queries, drawn in their order. The true clip is framed green.
        path: the PNG to write.
    """
    columns = max((len(example.clips) for example in examples), default=1) or 1
    heights = [_TEXT_INCHES + _strip_inches(example, columns) for example in examples]
    figure = canvas.new_figure(
        "Clips found by text (first, middle, last frame; green: the true clip)",
        0.5 + (sum(heights) or 2.0),
    )
    if not examples:
        axes = figure.add_subplot()
        axes.set_axis_off()
        canvas.note_missing(axes, "no queries to show")
        canvas.save(figure, path)
        return
    parts = np.atleast_1d(figure.subfigures(len(examples), 1, height_ratios=heights))
    for part, example in zip(parts, examples, strict=True):
        part.suptitle(_heading(example), x=0.01, ha="left", fontsize=12, parse_math=False)
        clips = zip(example.clips, example.correct, strict=True)
        for place, (clip, correct) in enumerate(clips, start=1):
            _strip(part.add_subplot(1, columns, place), clip, place, correct)
        if not example.clips:
            axes = part.add_subplot()
            axes.set_axis_off()
            canvas.note_missing(axes, "no clips")
    canvas.save(figure, path)


def _heading(example: RetrievalExample) -> str:
    """Returns the query, cut to about two lines, and its true clip's rank."""
    shown = "" if any(example.correct) else ", not shown"
    rank = f"  (true clip: rank {example.rank}{shown})"
    query = textwrap.shorten(
        canvas.drawable(example.query), 2 * _LINE_CHARACTERS - 60, placeholder=" ..."
    )
    quoted = f"\N{LEFT DOUBLE QUOTATION MARK}{query}\N{RIGHT DOUBLE QUOTATION MARK}"
    return textwrap.fill(quoted + rank, _LINE_CHARACTERS)


def _strip_inches(example: RetrievalExample, columns: int) -> float:
    """Returns the height of the row's tallest strip at its column's width."""
    width = canvas.WIDTH_INCHES / columns
    tallest = max(
        (clip.shape[1] / (clip.shape[2] * len(_chosen(clip))) for clip in example.clips),
        default=0.0,
    )
    return min(_MOST_STRIP_INCHES, width * tallest)


def _chosen(clip: np.ndarray) -> list[int]:
    """Returns the indices of the first, middle and last frame, each once."""
    return sorted(set(first_middle_last(len(clip))))


def _strip(axes: Axes, clip: np.ndarray, place: int, correct: bool) -> None:
    """Draws the clip's first, middle and last frame side by side in one frame."""
    gap = np.full((clip.shape[1], _FRAME_GAP_PIXELS, 3), 255, dtype=np.uint8)
    parts = [gap]
    for index in _chosen(clip):
        parts += [clip[index], gap]
    axes.imshow(np.concatenate(parts[1:-1], axis=1), interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(
        f"{place}" + (" (true)" if correct else ""),
        color=canvas.GREEN if correct else canvas.GREY,
        fontsize=11,
        fontweight="bold" if correct else "normal",
    )
    for spine in axes.spines.values():
        spine.set(color=canvas.GREEN if correct else "#bbbbbb", linewidth=4 if correct else 1)
