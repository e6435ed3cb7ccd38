"""What evaluation is told of a rendered corpus; training never sees it."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from vatt_gh.demo.narration import attributes_said
from vatt_gh.demo.truth import Truth
from vatt_gh.evaluation.features import Clips


class Planted:
    """What was planted in a corpus, see `evaluation.held_out.Known`."""

    def __init__(self, truth: Truth):
        self._truth = truth

    def classes(self, video: str, start: float, end: float) -> tuple[str, str]:
        """By what can be seen (shape and colour) and by what can be heard (shape, motion)."""
        window = self._truth.window(video, float(start), float(end))
        return f"{window.colour} {window.shape}", f"{window.shape} {window.motion}"

    def similarity(self, clips: Clips) -> np.ndarray:
        """How many of the attributes that a caption names a clip shows."""
        where = zip(clips.video_ids, clips.start, clips.end, strict=True)
        windows = [self._truth.window(video, float(a), float(b)) for video, a, b in where]
        shown = [{w.shape, w.colour, w.motion} for w in windows]
        said = [attributes_said(str(caption)) for caption in clips.captions]
        return np.array([[len(query & clip) for clip in shown] for query in said])


def planted_of(config: ConfigDict) -> Planted | None:
    """What `eval.truth` says of the held-out clips.

    Args:
        config: the whole configuration.

    Returns:
        The truth, or None where none is given.

    Raises:
        UserError: it cannot be read.
    """
    return Planted(Truth.load(Path(config.eval.truth))) if config.eval.truth else None
