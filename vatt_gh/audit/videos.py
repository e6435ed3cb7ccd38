"""The scores of whole videos: means over their clips."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vatt_gh.audit.scores import Scored
from vatt_gh.evaluation.measures import group_means
from vatt_gh.files import replacing


def of_videos(scored: Scored, by: Sequence[str]) -> list[dict[str, Any]]:
    """Scores videos, the worst first.

    Args:
        scored: the clips.
        by: names of the measures whose mean percentiles decide the order.

    Returns:
        Rows {'video_id', 'clips': their number, and by measure the mean percentile of the clips
        that have it, None where none has}.
    """
    ids, number = np.unique(scored.video_ids.astype(str), return_inverse=True)
    means = {}
    for name, percentile in scored.percentiles.items():
        there = np.isfinite(percentile)
        same = np.ones(there.sum())
        means[name] = group_means(percentile[there], number[there], same, len(ids))
    judged = np.array([means[name] for name in by])
    known = np.isfinite(judged)
    badness = np.where(known, judged, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    badness[~known.any(axis=0)] = np.inf  # nothing is known of it
    clips = np.bincount(number)
    return [
        {
            "video_id": str(ids[k]),
            "clips": int(clips[k]),
            **{n: float(x[k]) if np.isfinite(x[k]) else None for n, x in means.items()},
        }
        for k in np.argsort(badness, kind="stable")
    ]


def write_videos(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes the rows of `of_videos` as CSV; an empty cell: no clip has the measure."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
