"""Pictures of a training run: losses, the conflict of the two gradients, and the curriculum.

Every function takes rows of metrics.jsonl, or plain arrays, and writes one PNG, 1000 pixels wide.
"""

import itertools
import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from vatt_gh.errors import UserError
from vatt_gh.loss_terms import LOSS_TERMS
from vatt_gh.report import canvas
from vatt_gh.report.jsonl import Rows

_LOSS_LABELS = {f"loss_{t.label}": f"{t.anchor}-{t.other}" for t in LOSS_TERMS.values()}
EVAL_PREFIX = "eval."  # begins the names of scores
_COSINE_LABEL = "cosine of the two loss gradients"
# With more columns than this each would hold few samples, and noise would hide the trend.
_MOST_COLUMNS = 120
# Few samples in many bins give only spikes.
_FINE_BINS, _COARSE_BINS, _FINE_FROM = 40, 20, 200


def loss_curves(rows: Rows, path: str | os.PathLike[str], plain: Rows = ()) -> None:
    """Draws every contrastive loss and their weighted mean against the step.

    Args:
        rows: rows of metrics.jsonl with "step", "loss", "loss_va", "loss_vt", ... (nats); a missing
            or null value is a gap.
        path: the PNG to write.
        plain: the rows of plain VATT, drawn as dotted lines.
    """
    rows = canvas.by_step(rows)
    figure = canvas.new_figure(f"Losses{_smoothing_note(rows)}", 5.0)
    axes = figure.add_subplot()
    lines = [("loss", "total", "#333333")]
    losses = dict.fromkeys(key for row in rows for key in row if key.startswith("loss_"))
    for key, colour in zip(losses, itertools.cycle(canvas.PALETTE), strict=False):
        lines.append((key, _LOSS_LABELS.get(key, key[5:]), colour))
    for key, label, colour in lines:
        _raw_and_smoothed(axes, rows, key, label, colour)
        if plain:
            _dotted(axes, canvas.by_step(plain), key, colour, _smoothing(rows))
    _step_axis(axes, rows)
    axes.set(ylabel="loss (nats)")
    canvas.tidy(axes)
    _legend_or_note(axes, len(lines), "no losses recorded yet")
    canvas.save(figure, path)


def scores_over_time(rows: Rows, path: str | os.PathLike[str]) -> None:
    """Draws the scores on held-out clips that were taken during training.

    Args:
        rows: rows of metrics.jsonl; those with scores have "eval.GROUP.NAME", which is drawn where
            it is a share in [0, 1].
        path: the PNG to write.
    """
    rows = [row for row in canvas.by_step(rows) if any(key.startswith(EVAL_PREFIX) for key in row)]
    names = sorted({key for row in rows for key in row if key.startswith(EVAL_PREFIX)})
    columns = {name: canvas.column(rows, name) for name in names}
    shares = {name: x for name, x in columns.items() if np.nanmax(x, initial=0.0) <= 1.0}
    figure = canvas.new_figure("Scores on held-out clips", 5.0)
    axes = figure.add_subplot()
    for (name, values), colour in zip(shares.items(), itertools.cycle(canvas.PALETTE)):
        label, marker = name.removeprefix(EVAL_PREFIX), canvas.marker(len(rows))
        axes.plot(canvas.column(rows, "step"), values, color=colour, label=label, marker=marker)
    _step_axis(axes, rows)
    axes.set(ylabel="score", ylim=(-0.03, 1.03))
    canvas.tidy(axes)
    _legend_or_note(axes, 3, "no scores recorded yet")
    canvas.save(figure, path)


def curriculum(rows: Rows, path: str | os.PathLike[str]) -> None:
    """Draws what the curriculum keeps, how much conflicts, and the curriculum's schedule.

    Args:
        rows: rows of metrics.jsonl with "step", "kept_share" and "conflict_rate" (shares in 0..1)
            and "gamma" (a cosine) or "drop_share"; a missing or null value is a gap.
        path: the PNG to write.
    """
    rows = canvas.by_step(rows)
    figure = canvas.new_figure(f"Curriculum{_smoothing_note(rows)}", 6.0)
    shares, threshold = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    lines = (
        ("kept_share", "kept (weight above 0)", canvas.GREEN),
        ("conflict_rate", "in conflict (cosine < 0)", canvas.RED),
    )
    _lines(shares, rows, lines, "no shares recorded yet")
    shares.set(ylabel="share of samples", ylim=(-0.03, 1.03))

    share = np.isfinite(canvas.column(rows, "drop_share")).any()
    schedule = canvas.column(rows, "drop_share" if share else "gamma")
    if np.isfinite(schedule).any():
        steps = canvas.column(rows, "step")
        threshold.plot(steps, schedule, color=canvas.BLUE, marker=canvas.marker(len(rows)))
    else:
        canvas.note_missing(threshold, "no threshold recorded")
    _step_axis(threshold, rows)
    threshold.set(ylabel="share to drop" if share else "gamma (cosine)")
    canvas.tidy(threshold)
    canvas.save(figure, path)


def cost_in_signal(rows: Rows, path: str | os.PathLike[str]) -> None:
    """Draws what harmonization takes from a step: samples, and length of their gradients.

    Args:
        rows: rows of metrics.jsonl with "step", "effective_batch" (samples), "sample_norm_before"
            and "sample_norm_after" (means over the batch); a missing or null value is a gap.
        path: the PNG to write.
    """
    rows = canvas.by_step(rows)
    figure = canvas.new_figure(f"What a step has left{_smoothing_note(rows)}", 6.0)
    batch, norms = figure.subplots(2, 1, sharex=True)
    samples = (("effective_batch", "effective batch", canvas.GREEN),)
    _lines(batch, rows, samples, "no effective batch recorded")
    batch.set(ylabel="samples", ylim=(0, None))
    before_and_after = (
        ("sample_norm_before", "before", canvas.BLUE),
        ("sample_norm_after", "after harmonization", canvas.ORANGE),
    )
    _lines(norms, rows, before_and_after, "no norms recorded: plain VATT measures none")
    norms.set(ylabel="norm of a sample's gradient", ylim=(0, None))
    _step_axis(norms, rows)
    canvas.save(figure, path)


def cosine_over_time(rows: Rows, path: str | os.PathLike[str]) -> None:
    """Draws the distribution of the per-sample gradient cosine over training.

    A heatmap: time runs to the right, a column is one histogram and sums to 1. On top are the
    border of conflict at 0, the curriculum's threshold gamma, and the mean cosine. If there are
    many logged steps, neighbours are summed into one column.

    Args:
        rows: rows of metrics.jsonl with "step", "cosine_histogram" (counts, equal bins over
            [-1, 1]) and "gamma"; a null or all-zero histogram leaves its column grey.
        path: the PNG to write.

    Raises:
        UserError: two rows have histograms with different numbers of bins.
    """
    rows = canvas.by_step(rows)
    figure = canvas.new_figure("Agreement of the losses' gradients", 5.6)
    axes = figure.add_subplot()
    _step_axis(axes, rows)
    axes.set(ylabel=f"{_COSINE_LABEL}, per sample", ylim=(-1, 1))
    canvas.tidy(axes, grid=False)
    counts = _histograms(rows)
    if not counts.any():
        canvas.note_missing(axes, "no cosines recorded yet")
        canvas.save(figure, path)
        return

    steps = canvas.column(rows, "step")
    groups = np.array_split(np.arange(len(rows)), min(len(rows), _MOST_COLUMNS))
    totals = np.stack([counts[group].sum(axis=0) for group in groups])
    edges = _edges(steps, groups)
    _heatmap(axes, edges, totals)
    _cosine_lines(axes, edges, totals, steps, canvas.column(rows, "gamma"))
    axes.set_xlim(edges[0], edges[-1])
    canvas.legend_above(axes, 4, *axes.get_legend_handles_labels())
    canvas.save(figure, path)


def cosine_by_truth(groups: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    """Draws the per-sample cosines of groups of samples with known truth, one over another.

    Args:
        groups: group name -> cosines, float [N], NaN for a sample without a cosine (it lacks a
            modality); a group may be empty. The order is kept.
        path: the PNG to write.
    """
    title = "Gradient cosine by what is really wrong with a sample"
    figure = canvas.new_figure(title, 5.0 + 0.25 * len(groups))
    axes = figure.add_subplot()
    finite = {}
    for name, cosine in groups.items():
        cosine = np.asarray(cosine, dtype=np.float64).reshape(-1)
        finite[name] = np.clip(cosine[np.isfinite(cosine)], -1.0, 1.0)
    largest = max((len(cosine) for cosine in finite.values()), default=0)
    edges = np.linspace(-1.0, 1.0, (_FINE_BINS if largest >= _FINE_FROM else _COARSE_BINS) + 1)
    handles, labels = [], []
    for index, (name, cosine) in enumerate(finite.items()):
        colour = canvas.PALETTE[index % len(canvas.PALETTE)]
        without = np.size(groups[name]) - len(cosine)
        handles.append(Patch(facecolor=colour, alpha=0.45, edgecolor=colour))
        labels.append(_group_label(name, cosine, without))
        if len(cosine):
            share = np.histogram(cosine, edges)[0] / len(cosine)
            axes.stairs(share, edges, color=colour, fill=True, alpha=0.18)
            axes.stairs(share, edges, color=colour, linewidth=2)
            axes.axvline(cosine.mean(), color=colour, linewidth=1.5, linestyle="--")
    axes.set(xlabel=f"{_COSINE_LABEL} (dashed: mean)", ylabel="share of the group, per bin")
    axes.set_xlim(-1, 1)
    canvas.tidy(axes)
    if largest == 0:
        canvas.note_missing(axes, "no sample of any group has a cosine")
    else:
        axes.axvline(0.0, color="#333333", linewidth=1)
        axes.set_ylim(bottom=0)
    canvas.legend_above(axes, 1, handles, labels)
    canvas.save(figure, path)


def _step_axis(axes: Axes, rows: Rows) -> None:
    """Labels the time axis and keeps its ticks at integer steps."""
    axes.set(xlabel="training step")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    if len(rows) == 1:  # a single point would get an axis of fractional steps
        axes.set_xlim(rows[0]["step"] - 1, rows[0]["step"] + 1)


def _smoothing(rows: Rows) -> int:
    """Returns the number of rows in a running mean: odd, 1 (none) for a short run."""
    return 2 * (len(rows) // 50) + 1


def _smoothing_note(rows: Rows) -> str:
    """Returns the title's note on the smoothing."""
    width = _smoothing(rows)
    return f" (bold: mean over {width} logged steps)" if width > 1 else ""


def _lines(axes: Axes, rows: Rows, lines: Sequence[tuple[str, str, str]], empty: str) -> None:
    """Draws columns, each a (key, label, colour), with a legend or a note that there are none."""
    for key, label, colour in lines:
        _raw_and_smoothed(axes, rows, key, label, colour)
    canvas.tidy(axes)
    _legend_or_note(axes, len(lines), empty)


def _raw_and_smoothed(axes: Axes, rows: Rows, key: str, label: str, colour: str) -> None:
    """Draws a column as a light line with its running mean in bold."""
    width = _smoothing(rows)
    steps, values = canvas.column(rows, "step"), canvas.column(rows, key)
    if not np.isfinite(values).any():
        return
    if width > 1:
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=1)
    values = _running_mean(values, width)
    axes.plot(
        steps, values, color=colour, linewidth=2, label=label, marker=canvas.marker(len(rows))
    )


def _dotted(axes: Axes, rows: Rows, key: str, colour: str, width: int) -> None:
    """Draws the running mean of a column of another run."""
    values = _running_mean(canvas.column(rows, key), width)
    axes.plot(canvas.column(rows, "step"), values, color=colour, linewidth=1.5, linestyle=":")


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Computes means of `width` neighbours, [N] float64, over the finite ones; NaN stays NaN."""
    valid = np.isfinite(values)
    kernel = np.ones(width)
    total = np.convolve(np.where(valid, values, 0.0), kernel, mode="same")
    number = np.convolve(valid, kernel, mode="same")
    return np.divide(total, number, out=np.full_like(total, np.nan), where=valid)


def _legend_or_note(axes: Axes, columns: int, empty: str) -> None:
    """Adds the legend, or a note that there is nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        canvas.legend_above(axes, columns, handles, labels)
    else:
        canvas.note_missing(axes, empty)


def _histograms(rows: Rows) -> np.ndarray:
    """Returns the counts, float64 [N, bins], zeros for a row without a histogram."""
    histograms = [row.get("cosine_histogram") or [] for row in rows]
    bins = max((len(histogram) for histogram in histograms), default=0)
    for row, histogram in zip(rows, histograms, strict=True):
        if histogram and len(histogram) != bins:
            raise UserError(
                "The rows' cosine histograms differ in their number of bins.",
                where=f"cosine_histogram of step {row['step']}",
                expected=f"{bins} bins, found {len(histogram)}",
                todo="do not mix the rows of different programs in one metrics.jsonl",
            )
    filled = [histogram or [0] * bins for histogram in histograms]
    return np.array(filled, dtype=np.float64).reshape(len(rows), bins)


def _edges(steps: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the borders of the heatmap's columns in steps, float64 [len(groups) + 1]."""
    if len(steps) == 1:
        return np.array([steps[0] - 1, steps[0] + 1])
    inner = [(steps[group[0]] + steps[group[0] - 1]) / 2 for group in groups[1:]]
    first = steps[0] - (steps[1] - steps[0]) / 2
    last = steps[-1] + (steps[-1] - steps[-2]) / 2
    return np.array([first, *inner, last])


def _heatmap(axes: Axes, edges: np.ndarray, totals: np.ndarray) -> None:
    """Draws the counts [columns, bins], each column scaled to sum 1."""
    sums = totals.sum(axis=1, keepdims=True)
    share = np.ma.masked_array(
        totals / np.maximum(sums, 1.0), mask=np.repeat(sums == 0, totals.shape[1], axis=1)
    )
    # The square root keeps thin tails visible beside a sharp peak.
    mesh = axes.pcolormesh(
        edges,
        np.linspace(-1.0, 1.0, totals.shape[1] + 1),
        share.T,
        cmap="Blues",
        norm=PowerNorm(0.5, vmin=0.0, vmax=float(share.max())),
    )
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label("share of the step's samples, per bin", size=12)
    if (sums == 0).any():
        axes.set_facecolor("#dddddd")
        axes.fill_between([], [], color="#dddddd", label="no cosine")


def _cosine_lines(
    axes: Axes, edges: np.ndarray, totals: np.ndarray, steps: np.ndarray, gamma: np.ndarray
) -> None:
    """Draws the border of conflict, gamma and the mean cosine over the heatmap."""
    axes.axhline(0.0, color="#222222", linewidth=1, label="0: below it the losses conflict")
    if np.isfinite(gamma).any():
        axes.plot(
            steps,
            gamma,
            color=canvas.RED,
            linewidth=2,
            linestyle="--",
            marker=canvas.marker(len(steps)),
            label="gamma (kept above it)",
        )
    bins = totals.shape[1]
    centres = (np.arange(bins) + 0.5) * 2.0 / bins - 1.0
    sums = totals.sum(axis=1)
    mean = np.divide(totals @ centres, sums, out=np.full(len(sums), np.nan), where=sums > 0)
    axes.plot(
        (edges[1:] + edges[:-1]) / 2,
        mean,
        color=canvas.ORANGE,
        linewidth=2,
        marker=canvas.marker(len(sums)),
        label="mean cosine",
    )


def _group_label(name: str, cosine: np.ndarray, without: int) -> str:
    """Returns the legend's line for one group."""
    missing = f", {without} without a cosine" if without else ""
    if not len(cosine):
        return f"{canvas.drawable(name)}: no samples{missing}"
    return f"{canvas.drawable(name)}: n = {len(cosine)}, mean {cosine.mean():+.3f}{missing}"
