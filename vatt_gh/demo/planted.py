"""The truth about a rendered corpus, for evaluation; training never sees it."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from vatt_gh.demo.narration import attributes_said
from vatt_gh.demo.truth import Truth
from vatt_gh.evaluation.features import Clips
from vatt_gh.report.run import Aligned


class Planted:
    """The truth planted in a corpus, see `evaluation.held_out.Known`."""

    def __init__(self, truth: Truth):
        self._truth = truth

    def classes(self, video: str, start: float, end: float) -> tuple[str, str]:
        """Names the classes of what is seen (shape, colour) and what is heard (shape, motion)."""
        window = self._truth.window(video, float(start), float(end))
        return f"{window.colour} {window.shape}", f"{window.shape} {window.motion}"

    def similarity(self, clips: Clips) -> np.ndarray:
        """Counts the attributes named by each caption that each clip shows."""
        where = zip(clips.video_ids, clips.start, clips.end, strict=True)
        windows = [self._truth.window(video, float(a), float(b)) for video, a, b in where]
        shown = [{w.shape, w.colour, w.motion} for w in windows]
        said = [attributes_said(str(caption)) for caption in clips.captions]
        return np.array([[len(query & clip) for clip in shown] for query in said])


def planted_of(evaluation: ConfigDict) -> Planted | None:
    """Reads the truth about the held-out clips from `eval.truth`.

    Args:
        evaluation: section `eval` of the configuration.

    Returns:
        The truth, or None if none is given.

    Raises:
        UserError: it cannot be read.
    """
    return Planted(Truth.load(Path(evaluation.truth))) if evaluation.truth else None


def aligned_of(path: str) -> Aligned | None:
    """Reads the truth about a corpus: whether sound and caption of a window belong to it.

    Args:
        path: alignment.jsonl, or "" for none.

    Returns:
        A function of video id, start and end (s); None without a path.

    Raises:
        UserError: it cannot be read.
    """
    if not path:
        return None
    truth = Truth.load(Path(path))

    def aligned(video: str, start: float, end: float) -> tuple[bool, bool]:
        window = truth.window(video, start, end)
        return window.sound_aligned, window.caption_aligned

    return aligned
