"""Reads a caption file of one video, in any form."""

from pathlib import Path

from vatt_gh.media.captions.csv_table import csv_cues
from vatt_gh.media.captions.cues import Caption, to_captions
from vatt_gh.media.captions.json_forms import json_cues
from vatt_gh.media.captions.subtitles import subtitle_cues
from vatt_gh.media.captions.text import read_text

READERS = {
    ".csv": csv_cues,
    ".json3": json_cues,
    ".vtt": subtitle_cues,
    ".srt": subtitle_cues,
    ".json": json_cues,
}


def read_captions(path: Path) -> tuple[list[Caption], list[str]]:
    """Reads the captions of one video.

    The suffix decides between tables, subtitles and JSON; content decides the rest, so that
    WebVTT named .srt, SRT named .vtt and json3 named .json are read as what they are.

    Args:
        path: a file with a suffix of READERS.

    Returns:
        Captions in order of their start, overlapping ones as they are, each with a word; and
        reasons why others were left out.

    Raises:
        CaptionFileError: nothing of the file can be read.
    """
    path = Path(path)
    return to_captions(READERS[path.suffix.lower()](path, read_text(path)))
