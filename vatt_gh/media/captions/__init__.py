"""Captions with times, in all the forms that users have; one module per form."""

from vatt_gh.media.captions.cues import Caption, CaptionFileError, overlapping
from vatt_gh.media.captions.find import find_caption_files
from vatt_gh.media.captions.index import CaptionIndex
from vatt_gh.media.captions.read import read_captions
from vatt_gh.media.captions.video_captions import VideoCaptions

__all__ = [
    "Caption",
    "CaptionFileError",
    "CaptionIndex",
    "VideoCaptions",
    "find_caption_files",
    "overlapping",
    "read_captions",
]
