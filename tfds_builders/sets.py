"""All data sets that can be built, and their readers; does not import TensorFlow."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vatt_gh.media import library, youtube8m, youtube8m_library
from vatt_gh.media.downstream import (
    audioset,
    esc50,
    hmdb51,
    kinetics400,
    msrvtt,
    ucf101,
    youcook2,
)
from vatt_gh.media.downstream.to_library import library_of
from vatt_gh.media.library import Library


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        description: one sentence.
        splits: names of its splits.
        layout: the layout of its directory.
        scan: reads (manual_dir, index_dir) into a library, see vatt_gh.media.library.scan.
    """

    description: str
    splits: tuple[str, ...]
    layout: str
    scan: Callable[[Path, Path | None], Library]


def _listed(description: str, module: Any, splits: tuple[str, ...] = (), **options: str) -> DataSet:
    """Makes a set whose module lists its clips."""

    def scan(manual_dir: Path, index_dir: Path | None) -> Library:
        listing = module.list_clips(Path(manual_dir), **options)
        return library_of(manual_dir, listing, module.LAYOUT)

    return DataSet(description, splits or module.SPLITS, module.LAYOUT, scan)


# A new set needs one entry here; its builder, checks and README table row come from it.
DATA_SETS = {
    "howto100m": DataSet(
        "Segments of videos with captions.", ("train",), library.LAYOUT, library.scan
    ),
    "youtube8m": DataSet(
        "The same, with YouTube-8M's labels from `yt8m/` (its TFRecords, vocabulary, ids).",
        ("train",),
        library.LAYOUT + youtube8m.LAYOUT.removeprefix("\n    MANUAL_DIR/"),
        youtube8m_library.scan_labelled,
    ),
    "ucf101": _listed("101 actions.", ucf101),
    "hmdb51": _listed("51 actions.", hmdb51),
    "kinetics400": _listed("400 actions; the original layout, or CVDF's.", kinetics400),
    "esc50": _listed("50 classes of sounds.", esc50),
    "audioset": _listed("527 classes of sounds, with or without their videos.", audioset),
    "msrvtt": _listed("Videos with 20 captions each.", msrvtt, split="full"),
    "msrvtt_1ka": _listed("The same in JSFusion's split.", msrvtt, ("train", "test"), split="1k-A"),
    "youcook2": _listed("Steps of recipes with a caption each.", youcook2),
}


def to_markdown() -> str:
    """Formats README's table of the data sets."""
    lines = ["| name | splits (`--config.data.split`) | holds |", "|---|---|---|"]
    for name, data_set in DATA_SETS.items():
        holds = data_set.description[0].lower() + data_set.description[1:].rstrip(".")
        lines.append(f"| `{name}` | {', '.join(data_set.splits)} | {holds} |")
    return "\n".join(lines)
