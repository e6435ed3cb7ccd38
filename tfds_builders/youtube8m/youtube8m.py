"""YouTube-8M: the videos that one has of it, with its labels, as a TFDS data set."""

from tfds_builders.segments import SegmentBuilder


class Youtube8m(SegmentBuilder):
    """Segments of videos with labels and, where they are there, captions."""
