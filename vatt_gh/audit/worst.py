"""The worst clips of a data set, as a list that training leaves out."""

import csv
from pathlib import Path

import numpy as np

from vatt_gh.audit.judged import JUDGED
from vatt_gh.audit.scores import Scored
from vatt_gh.data.selection import COLUMNS
from vatt_gh.errors import UserError
from vatt_gh.files import replacing
from vatt_gh.report.run import Aligned


def worst_clips(scored: Scored, by: str, share: float) -> dict[str, np.ndarray]:
    """Finds the worst share of the clips.

    Args:
        scored: the clips.
        by: 'loss', 'similarity' or 'cosine'.
        share: share of the clips that a measure is defined for, rounded down.

    Returns:
        {'text', 'audio', or '' for the whole clip: [k] int64 rows, the worst first}.

    Raises:
        UserError: the run has no loss to judge by.
    """
    found = {}
    judged = {m: name for m, name in JUDGED[by].items() if name in scored.percentiles}
    if not judged:
        raise UserError(
            "The run has nothing to judge clips by.",
            where=f"config.audit.by = {by}",
            expected="two losses for the cosine, else a loss of the video with sound or text",
            todo="choose another --config.audit.by",
        )
    for modality, name in judged.items():
        percentile = scored.percentiles[name]
        there = np.flatnonzero(np.isfinite(percentile))
        count = int(share * len(there))
        found[modality] = there[np.argsort(percentile[there], kind="stable")[:count]]
    return found


def planted_shares(
    scored: Scored, worst: dict[str, np.ndarray], by: str, aligned: Aligned
) -> dict[str, dict[str, float]]:
    """Counts how many of the worst clips are planted.

    Args:
        scored: the clips.
        worst, by: see `worst_clips`.
        aligned: the truth. Of sound it is asked at the clip's time, of a caption at its own.

    Returns:
        By modality {'value': share of the worst clips, 'chance': share of all clips that have the
        measure, 'worst': number of the worst}.
    """
    heard = zip(scored.video_ids, scored.start, scored.end, strict=True)
    said = zip(scored.video_ids, scored.caption_start, scored.caption_end, strict=True)
    sound = np.array([aligned(video, float(a), float(b))[0] for video, a, b in heard])
    caption = np.array([aligned(video, float(a), float(b))[1] for video, a, b in said])
    planted = {"audio": ~sound, "text": ~caption, "": ~(sound & caption)}
    shares = {}
    for modality, rows in worst.items():
        there = np.isfinite(scored.percentiles[JUDGED[by][modality]])
        shares[modality or "clip"] = {
            "value": float(np.mean(planted[modality][rows])) if len(rows) else 0.0,
            "chance": float(np.mean(planted[modality][there])),
            "worst": len(rows),
        }
    return shares


def caption_stretches(video_ids: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Finds for each caption a stretch of its video that holds the middle of no other caption.

    Training leaves a caption out if its middle is in a stretch of the list, so that these
    stretches leave out their own captions alone. Captions with the same middle go together.

    Args:
        video_ids: [n] str.
        start, end: [n] float32, of the captions, seconds in the video.

    Returns:
        [n, 2] float64, seconds: the caption's times, cut half-way to the middles of its neighbours.
    """
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    middle = ((start + end) / 2).astype(np.float64)  # rounded to float32, as training reads it
    stretches = np.empty((len(middle), 2))
    ids, number = np.unique(np.asarray(video_ids).astype(str), return_inverse=True)
    order = np.argsort(number, kind="stable")
    for rows in np.split(order, np.searchsorted(number[order], np.arange(1, len(ids)))):
        middles, place = np.unique(middle[rows], return_inverse=True)
        between = np.concatenate([[-np.inf], (middles[:-1] + middles[1:]) / 2, [np.inf]])
        stretches[rows, 0] = np.maximum(start[rows], between[place])
        stretches[rows, 1] = np.minimum(end[rows], between[place + 1])
    # A caption may begin and end at one time; the end of a stretch does not belong to it.
    stretches[:, 1] = np.maximum(stretches[:, 1], np.nextafter(middle, np.inf))
    return stretches


def write_list(scored: Scored, worst: dict[str, np.ndarray], path: Path) -> None:
    """Writes the worst clips as a list for data.without.

    A row of sound has the clip's time, one of text the caption's stretch (`caption_stretches`). A
    clip that is judged as a whole has both: its time would leave out its neighbours' captions, too.

    Args:
        scored: the clips.
        worst: see `worst_clips`.
        path: the CSV file.
    """
    stretches = {
        "audio": np.stack([scored.start, scored.end], axis=1),
        "text": caption_stretches(scored.video_ids, scored.caption_start, scored.caption_end),
    }
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for modality, rows in worst.items():
            for row in rows:
                for name in (modality,) if modality else stretches:
                    start, end = stretches[name][row].tolist()
                    table.writerow([scored.video_ids[row], start, end, name])
