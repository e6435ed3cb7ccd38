"""Infers the unit of captions' times, and foreign captions, from the video's length."""

import math

import numpy as np

from vatt_gh.media.captions.cues import Caption, Cue

# In seconds; units that files use without naming them.
UNITS = {"seconds": 1.0, "hundredths of a second": 0.01, "milliseconds": 0.001}
_LONGEST_CAPTION = 1000.0  # s; a file whose captions are mostly longer than this is not in seconds
_SPEECH = (1.5, 60.0)  # characters a second, for the median caption; slower or faster is not speech
_USUAL = 12.0  # characters a second
_REACH = 0.75  # weight of how far into the video captions reach, relative to their speed
_LEAST = 0.1  # share of the video that a single caption must reach to infer its unit


def in_seconds(cues: list[Cue], length: float | None) -> tuple[list[Cue], list[str]]:
    """Converts times to seconds if a file does not tell their unit.

    Times stay seconds if most captions then lie within the video. Whole numbers are in a smaller
    unit if most captions would lie outside, or last a quarter of an hour. The unit must put the
    captions within the video at the speed of speech; the best unit comes nearest to usual speech
    that reaches to the video's end.

    Args:
        cues: cues of one file.
        length: length of the video in seconds; None: unknown.

    Returns:
        The cues; and a sentence if their times were not in seconds.
    """
    rows = [row for row in map(_numbers, cues) if row is not None]
    unit = _time_unit(np.asarray(rows, np.float64).reshape(-1, 3), length)
    if unit == "seconds":
        return cues, []
    size = UNITS[unit]
    scaled = [
        cue._replace(start=round(cue.start * size, 6), end=round(cue.end * size, 6))
        if _numbers(cue)
        else cue
        for cue in cues
    ]
    return scaled, [f"its times are read as {unit}, and not as seconds, which do not fit"]


def within(captions: list[Caption], length: float | None) -> tuple[list[Caption], list[str]]:
    """Leaves out captions after the end of their video, or before its beginning.

    Args:
        captions: captions of one video.
        length: length of the video in seconds; None: unknown.

    Returns:
        The captions that begin before the end, and do not end far after it; none if most fail this,
        because then they belong to another video or have an unknown unit. And what was left out.
    """
    end = math.inf if length is None else length
    inside = [
        row._replace(start=max(0.0, row.start))
        for row in captions
        if row.start < end and 0 < row.end <= _far_behind(end)
    ]
    missing = len(captions) - len(inside)
    if not missing:
        return inside, []
    where = "before the video begins" if length is None else f"outside the video's {length:.1f} s"
    if 2 * missing > len(captions):
        why = "they are of another video, or in another unit"
        return [], [
            f"all its captions are left out: {missing} of {len(captions)} are {where}; {why}"
        ]
    return inside, [f"left out {missing} of its captions: they are {where}"]


def _far_behind(length: float) -> float:
    """Returns a caption's latest plausible end, in seconds; many end a little after the video."""
    return 2 * length + 10


def _numbers(cue: Cue) -> tuple[float, float, float] | None:
    """Returns start, end, characters of a cue of unknown unit; None: known unit, or no caption."""
    times = cue.start, cue.end
    if cue.told or not isinstance(cue.text, str):
        return None
    if not all(isinstance(t, float) and math.isfinite(t) for t in times) or cue.end < cue.start:
        return None
    return *times, len(cue.text.strip())


def _time_unit(rows: np.ndarray, length: float | None) -> str:
    """Finds the key of UNITS for rows [n, 3]: start, end, characters; "seconds" if undecided."""
    if not len(rows) or not np.array_equal(rows, np.floor(rows)):
        return "seconds"
    if _fits(rows, 1.0, length) and not _too_slow(rows, length):
        return "seconds"
    scores = {}
    for name, unit in UNITS.items():
        speed, reach = _speed(rows, unit), _reach(rows, unit, length)
        speaks = _SPEECH[0] <= speed <= _SPEECH[1]
        alone = len(rows) == 1 and (length is None or reach < _LEAST)
        if name != "seconds" and speaks and _fits(rows, unit, length) and not alone:
            scores[name] = abs(math.log(speed / _USUAL)) + _REACH * abs(math.log(reach))
    return min(scores, key=scores.get, default="seconds")


def _fits(rows: np.ndarray, unit: float, length: float | None) -> bool:
    """Tells whether most captions begin within the video, and do not end far after it."""
    if length is None:
        return True
    inside = (rows[:, 0] * unit < length) & (rows[:, 1] * unit <= _far_behind(length))
    return 2 * inside.sum() > len(rows)


def _too_slow(rows: np.ndarray, length: float | None) -> bool:
    """Tells whether captions would last too long; chapters, which fill their video, may."""
    fills = length is not None and 0.9 * length <= rows[:, 1].max() <= 1.05 * length
    return bool(not fills and np.median(rows[:, 1] - rows[:, 0]) > _LONGEST_CAPTION)


def _reach(rows: np.ndarray, unit: float, length: float | None) -> float:
    """Computes the end of the last caption, as a share of the video."""
    return 1.0 if length is None else max(rows[:, 1].max() * unit / length, 1e-6)


def _speed(rows: np.ndarray, unit: float) -> float:
    """Computes the characters a second of the median caption."""
    lengths = np.maximum((rows[:, 1] - rows[:, 0]) * unit, 1e-3)
    return float(np.median(rows[:, 2] / lengths))
