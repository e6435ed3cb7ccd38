"""Every data set that can be built, and how its directory is read; TensorFlow is not imported."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vatt_gh.media import labelled, library, youtube8m
from vatt_gh.media.downstream import (
    audioset,
    esc50,
    hmdb51,
    kinetics400,
    msrvtt,
    ucf101,
    youcook2,
)
from vatt_gh.media.downstream.clip import Listing
from vatt_gh.media.downstream.library import library_of
from vatt_gh.media.library import Library


@dataclasses.dataclass(frozen=True)
class Set:
    """A data set.

    Attributes:
        description: one sentence.
        layout: what its directory looks like.
        scan: from (manual_dir, index_dir) to its videos, see vatt_gh.media.library.scan.
    """

    description: str
    layout: str
    scan: Callable[[Path, Path | None], Library]


def _listed(
    description: str, module: Any, list_clips: Callable[[Path], Listing] | None = None
) -> Set:
    list_clips = list_clips or module.list_clips

    def scan(manual_dir: Path, index_dir: Path | None) -> Library:
        return library_of(manual_dir, list_clips(Path(manual_dir)), module.LAYOUT)

    return Set(description, module.LAYOUT, scan)


SETS = {
    "howto100m": Set("Segments of narrated videos.", library.LAYOUT, library.scan),
    "youtube8m": Set(
        "Segments of videos with the labels of YouTube-8M.",
        library.LAYOUT + youtube8m.LAYOUT.removeprefix("\n    MANUAL_DIR/"),
        labelled.scan_labelled,
    ),
    "ucf101": _listed("Clips of 101 actions, three splits.", ucf101),
    "hmdb51": _listed("Clips of 51 actions, three splits.", hmdb51),
    "kinetics400": _listed("Clips of 400 actions.", kinetics400),
    "esc50": _listed("Sounds of 50 classes, five folds.", esc50),
    "msrvtt": _listed(
        "Clips with 20 captions each, the original split.",
        msrvtt,
        functools.partial(msrvtt.list_clips, split="full"),
    ),
    "msrvtt_1ka": _listed(
        "Clips with captions, JSFusion's split (1k-A).",
        msrvtt,
        functools.partial(msrvtt.list_clips, split="1k-A"),
    ),
    "youcook2": _listed("Steps of recipes with a caption each.", youcook2),
    "audioset": _listed("Ten seconds each of videos or sounds, 527 classes.", audioset),
}
