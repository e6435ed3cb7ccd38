"""Captions with times, in every form in which users have them; one file a form."""

from vatt_gh.media.captions.cues import Caption, CaptionFileError, overlapping
from vatt_gh.media.captions.find import find_caption_files
from vatt_gh.media.captions.index import CaptionIndex
from vatt_gh.media.captions.read import read_captions
from vatt_gh.media.captions.sources import VideoCaptions

__all__ = [
    "Caption",
    "CaptionFileError",
    "CaptionIndex",
    "VideoCaptions",
    "find_caption_files",
    "overlapping",
    "read_captions",
]
