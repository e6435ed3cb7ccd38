"""HowTo100M, or any folder of videos with captions, as a TFDS data set."""

from tfds_builders.segments import SegmentBuilder


class Howto100m(SegmentBuilder):
    """Segments of narrated videos."""
