"""Reads one video's caption file of any form."""

from pathlib import Path

from vatt_gh.media.captions.ass import ass_cues
from vatt_gh.media.captions.cues import Caption, CaptionFileError, to_captions
from vatt_gh.media.captions.encodings import read_text
from vatt_gh.media.captions.json_forms import json_cues
from vatt_gh.media.captions.sbv import sbv_cues
from vatt_gh.media.captions.subtitles import subtitle_cues
from vatt_gh.media.captions.tables import table_cues
from vatt_gh.media.captions.units import in_seconds, within
from vatt_gh.media.captions.xml_forms import xml_cues

READERS = {
    ".csv": table_cues,
    ".tsv": table_cues,
    ".json3": json_cues,
    ".vtt": subtitle_cues,
    ".srt": subtitle_cues,
    ".json": json_cues,
    ".srv3": xml_cues,
    ".srv2": xml_cues,
    ".srv1": xml_cues,
    ".ttml": xml_cues,
    ".dfxp": xml_cues,
    ".itt": xml_cues,
    ".xml": xml_cues,
    ".sbv": sbv_cues,
    ".ass": ass_cues,
    ".ssa": ass_cues,
}


def read_captions(path: Path, length: float | None = None) -> tuple[list[Caption], list[str]]:
    """Reads the captions of one video.

    The suffix chooses between tables, subtitles, JSON and XML; the content decides the rest, so
    that WebVTT named .srt, SRT named .vtt and json3 named .json are read correctly.

    Args:
        path: the file.
        length: length of the video in seconds; None: unknown.

    Returns:
        Captions in order of their start, possibly overlapping, each with a word and within the
        video; and reasons why others were left out or how they were read.

    Raises:
        CaptionFileError: the file is unreadable, or its suffix is not in READERS.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise CaptionFileError(path, f"is none of {', '.join(READERS)}")
    cues, unit = in_seconds(reader(path, read_text(path)), length)
    captions, left_out = to_captions(cues)
    captions, outside = within(captions, length)
    return captions, [*unit, *left_out, *outside]
