"""TFDS builders of the sets for evaluation: `tfds build --imports tfds_builders.downstream`."""

from tfds_builders.segments import SegmentBuilder


class Ucf101(SegmentBuilder, skip_registration=True):
    """UCF101. Not registered, because TFDS has another builder of this name."""


class Hmdb51(SegmentBuilder):
    """HMDB51."""


class Kinetics400(SegmentBuilder):
    """Kinetics-400."""


class Esc50(SegmentBuilder):
    """ESC-50."""


class Msrvtt(SegmentBuilder):
    """MSR-VTT in its own split."""


class Msrvtt1ka(SegmentBuilder):
    """MSR-VTT in JSFusion's split."""

    name = "msrvtt_1ka"


class Youcook2(SegmentBuilder):
    """YouCook2."""


class Audioset(SegmentBuilder):
    """AudioSet."""
