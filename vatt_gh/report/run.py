"""The pictures and the page of one work directory."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from vatt_gh.files import read_object
from vatt_gh.report.examples import RetrievalExample, retrieval_examples
from vatt_gh.report.jsonl import METRICS, read_jsonl
from vatt_gh.report.page import write_page
from vatt_gh.report.plots import (
    EVAL_PREFIX,
    cosine_by_truth,
    cosine_over_time,
    cost_in_signal,
    curriculum,
    loss_curves,
    scores_over_time,
)

# (video_id, start s, end s) -> (sound belongs to the picture, caption belongs to it)
Aligned = Callable[[str, float, float], tuple[bool, bool]]

# Draws a picture: (file name, draw, heading, explanation)
Add = Callable[[str, Callable[[Path], None], str, str], None]

EVALUATIONS = "evaluations"  # .jsonl: scores of checkpoints, by mode=evaluate with eval.follow

_NEEDED = ("step", "samples_per_second", "data_wait_share")  # of a row of metrics.jsonl

GROUPS = {
    (True, True): "all aligned",
    (True, False): "caption of another scene",
    (False, True): "sound of another scene",
    (False, False): "both of another scene",
}


def write_report(
    workdir: Path,
    *,
    aligned: Aligned | None = None,
    examples: Sequence[RetrievalExample] = (),
    plain: Path | None = None,
) -> Path:
    """Draws everything that a run has written so far.

    Args:
        workdir: may have metrics.jsonl, samples.jsonl and results.json.
        aligned: the truth about a window of a corpus, if known.
        examples: retrieval examples; the first ones are drawn.
        plain: work directory of plain VATT, below this one, for comparison.

    Returns:
        Path of index.html.

    Raises:
        UserError: metrics.jsonl is damaged, or its rows are not a training's.
    """
    workdir = Path(workdir)
    folder = workdir / "pictures"
    folder.mkdir(exist_ok=True)
    pictures = []

    def add(name: str, draw: Callable[[Path], None], heading: str, explanation: str) -> None:
        draw(folder / name)
        pictures.append((f"pictures/{name}", heading, explanation))

    # A checkpoint from elsewhere was not trained here.
    metrics = workdir / METRICS
    rows = read_jsonl(metrics, _NEEDED) if metrics.exists() else []
    summary = [] if rows else [("steps", "none, or none that is logged yet")]
    if rows:
        summary = _training(add, rows, workdir, aligned, plain)
    if examples:
        add(
            "retrieval.png",
            lambda path: retrieval_examples(list(examples), path),
            "Text to video, without any training for it",
            "Queries and the clips ranked first; the right clip has a green frame.",
        )
    ranked = plain and plain / "pictures" / "retrieval.png"
    if ranked and ranked.exists():
        path = ranked.relative_to(workdir).as_posix()
        pictures.append((path, "The same by plain VATT", f"Full report: {plain.name}/index.html"))
    results = workdir / "results.json"
    scores = read_object(results) if results.exists() else {}
    for path in sorted(workdir.glob("results_*.json")):  # results of downstream sets
        scores[path.stem.removeprefix("results_")] = read_object(path)
    title = f"Training report: {workdir.name}"
    write_page(workdir, title=title, summary=summary, pictures=pictures, results=scores)
    return workdir / "index.html"


def _cosines(
    add: Add, rows: list[dict[str, Any]], workdir: Path, aligned: Aligned | None
) -> list[tuple[str, str]]:
    """Draws the samples' cosines; returns facts for the top of the page."""
    add(
        "cosines.png",
        lambda path: cosine_over_time(rows, path),
        "Do the two losses agree?",
        "For every sample, the cosine between its video-audio and its video-text gradient in the "
        "shared parameters. Below zero the two losses pull the shared weights apart.",
    )
    if aligned is None or not (workdir / "samples.jsonl").exists():
        return []
    samples = read_jsonl(workdir / "samples.jsonl")
    aligned = functools.cache(aligned)  # windows come again and again
    groups = cosines_by_truth(samples, aligned)
    add(
        "cosines_by_truth.png",
        lambda path: cosine_by_truth(groups, path),
        "What do samples in conflict have in common?",
        "The same cosines over the second half of training, split by what was planted in the "
        "corpus. Training never saw this truth.",
    )
    known = []
    for planted, areas in areas_by_quarter(samples, aligned).items():
        what = f"area under the ROC curve of the cosine, wrong {planted}"
        shown = ", ".join(f"{area:.2f}" for area in areas)
        known.append((f"{what}, by quarter of training (0.5: knows nothing)", shown))
    return known


def _cost(add: Add, rows: list[dict[str, Any]]) -> None:
    """Draws what harmonization drops and shortens."""
    add(
        "curriculum.png",
        lambda path: curriculum(rows, path),
        "What is kept",
        "The curriculum drops samples: those whose cosine is below the threshold gamma, or a share "
        "of every batch.",
    )
    add(
        "signal.png",
        lambda path: cost_in_signal(rows, path),
        "What harmonization costs in signal",
        "The effective batch is (sum of weights) squared by the sum of their squares. The norms "
        "are means over the batch, in the parameters that the cosines are of.",
    )


def _training(
    add: Add,
    rows: list[dict[str, Any]],
    workdir: Path,
    aligned: Aligned | None,
    plain: Path | None,
) -> list[tuple[str, str]]:
    """Draws what training has logged; returns facts for the top of the page."""
    # Plain VATT compares no gradients and drops nothing.
    compared = any(sum(row.get("cosine_histogram") or ()) for row in rows)
    dropped = any(share < 1.0 for share in _known(rows, "kept_share"))
    known = _cosines(add, rows, workdir, aligned) if compared else []
    if compared or dropped:
        _cost(add, rows)
    beside = [] if plain is None else read_jsonl(plain / METRICS)
    add(
        "losses.png",
        lambda path: loss_curves(rows, path, beside),
        "Losses",
        "Of the training batches." + (" Dotted: plain VATT." if beside else ""),
    )
    followed = workdir / f"{EVALUATIONS}.jsonl"
    scored = [*rows, *(read_jsonl(followed) if followed.exists() else [])]
    scored = [row for row in scored if any(key.startswith(EVAL_PREFIX) for key in row)]
    if scored:
        add(
            "scores.png",
            lambda path: scores_over_time(scored, path),
            "Scores during training",
            "On held-out clips; the untrained model's are in the table.",
        )
    last = rows[-1]
    facts = [
        ("steps", str(last["step"])),
        *(("loss", f"{loss:.3f}") for loss in _known(rows, "loss")[-1:]),
        ("samples a second", f"{last['samples_per_second']:.1f}"),
        ("waiting for data", f"{last['data_wait_share']:.0%} of the time"),
    ]
    if "goodput" in last:  # runs of earlier versions do not know it
        facts.append(("steps' share of all time since the start", f"{last['goodput']:.0%}"))
    return facts + known


def _known(rows: Sequence[dict[str, Any]], name: str) -> list[float]:
    """Returns a column without its gaps: a step that was left out has nulls."""
    return [row[name] for row in rows if row.get(name) is not None]


def cosines_by_truth(rows: Sequence[dict[str, Any]], aligned: Aligned) -> dict[str, np.ndarray]:
    """Splits the cosines of the second half of training by the truth.

    Args:
        rows: rows of samples.jsonl.
        aligned: the truth about a window.

    Returns:
        {group: [N] float64 cosines, NaN for a sample without one}.
    """
    values: dict[str, list[float | None]] = {name: [] for name in GROUPS.values()}
    for sound, caption, cosine in _windows(rows[len(rows) // 2 :], aligned):
        values[GROUPS[sound, caption]].append(cosine)
    return {name: np.array(cosines, np.float64) for name, cosines in values.items()}


def areas_by_quarter(rows: Sequence[dict[str, Any]], aligned: Aligned) -> dict[str, list[float]]:
    """Measures how well cosines separate what was planted wrong, over training.

    Args:
        rows: rows of samples.jsonl.
        aligned: the truth about a window.

    Returns:
        {'captions', 'sounds'}: areas under the ROC curve, wrong ones against samples that are all
        aligned, in each quarter of the rows; NaN if a quarter has only one kind of sample.
    """
    found: dict[str, list[float]] = {"captions": [], "sounds": []}
    for quarter in range(4):
        part = rows[len(rows) * quarter // 4 : len(rows) * (quarter + 1) // 4]
        windows = [window for window in _windows(part, aligned) if window[2] is not None]
        sound, caption, cosine = np.array(windows, float).reshape(-1, 3).T
        for name, right, other in (("captions", caption, sound), ("sounds", sound, caption)):
            some = other == 1
            both = len(np.unique(right[some])) == 2
            area = roc_auc_score(right[some], cosine[some]) if both else np.nan
            found[name].append(float(area))
    return found


def _windows(
    rows: Sequence[dict[str, Any]], aligned: Aligned
) -> Iterator[tuple[bool, bool, float | None]]:
    """Yields (whether sound and caption belong to the picture, cosine or None) of each sample."""
    for row in rows:
        where = zip(row["video_id"], row["start"], row["end"], strict=True)
        for window, cosine in zip(where, row["cosine"], strict=True):
            yield *aligned(*window), cosine
