"""Tells the unit of captions' times, and what does not belong to a video, by the video's length."""

import math

import numpy as np

from vatt_gh.media.captions.cues import Caption, Cue

# Seconds; what people write without a word about it.
UNITS = {"seconds": 1.0, "hundredths of a second": 0.01, "milliseconds": 0.001}
_LONG = 1000.0  # s; a file whose captions are mostly longer than this is not in seconds
_SPEECH = (1.5, 60.0)  # characters a second, of the median caption; slower or faster is none
_USUAL = 12.0  # characters a second
_REACH = 0.75  # what it counts how far into the video captions reach, beside how fast they are
_LEAST = 0.1  # of the video that a single caption must reach for its unit to be told


def fitting(cues: list[Cue], length: float | None) -> tuple[list[Cue], list[str]]:
    """Brings times whose unit a file does not tell to seconds.

    Times stay seconds where most captions then lie within the video. Whole numbers are in a smaller
    unit where most captions would lie outside, or last for a quarter of an hour. The unit must put
    the captions within the video and make them as fast as speech; the best one comes nearest to
    usual speech that reaches to the video's end.

    Args:
        cues: of one file.
        length: of the video in seconds; None: not known.

    Returns:
        The cues; and a sentence where their times were not in seconds.
    """
    rows = [row for row in map(_numbers, cues) if row is not None]
    unit = _unit(np.asarray(rows, np.float64).reshape(-1, 3), length)
    if unit == "seconds":
        return cues, []
    scaled = [cue if _numbers(cue) is None else _scaled(cue, UNITS[unit]) for cue in cues]
    return scaled, [f"its times are read as {unit}, and not as seconds, which do not fit"]


def within(captions: list[Caption], length: float | None) -> tuple[list[Caption], list[str]]:
    """Leaves out captions that lie behind the end of their video, or before its beginning.

    Args:
        captions: of one video.
        length: of the video in seconds; None: not known.

    Returns:
        The captions that begin before the end, and do not end far behind it: none where most of
        them are not so, because they are of another video then, or in a unit that nobody can tell;
        and what was left out.
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
    """Where no caption of a video ends, in seconds; a little behind its end many do."""
    return 2 * length + 10


def _numbers(cue: Cue) -> tuple[float, float, float] | None:
    """Start, end and characters of a cue of unknown unit; None: it is told, or is no caption."""
    times = cue.start, cue.end
    if cue.told or not isinstance(cue.text, str):
        return None
    if not all(isinstance(t, float) and math.isfinite(t) for t in times) or cue.end < cue.start:
        return None
    return *times, len(cue.text.strip())


def _scaled(cue: Cue, unit: float) -> Cue:
    return cue._replace(start=round(cue.start * unit, 6), end=round(cue.end * unit, 6))


def _unit(rows: np.ndarray, length: float | None) -> str:
    """A key of UNITS, for rows [n, 3]: start, end, characters; what cannot be told is seconds."""
    plain = next(iter(UNITS))
    if not len(rows) or not np.array_equal(rows, np.floor(rows)):
        return plain
    if _fits(rows, 1.0, length) and not _too_slow(rows, length):
        return plain
    scores = {}
    for name, unit in UNITS.items():
        speed, reach = _speed(rows, unit), _reach(rows, unit, length)
        speaks = _SPEECH[0] <= speed <= _SPEECH[1]
        alone = len(rows) == 1 and (length is None or reach < _LEAST)
        if name != plain and speaks and _fits(rows, unit, length) and not alone:
            scores[name] = abs(math.log(speed / _USUAL)) + _REACH * abs(math.log(reach))
    return min(scores, key=scores.get, default=plain)


def _fits(rows: np.ndarray, unit: float, length: float | None) -> bool:
    """Whether most captions begin within the video, and do not end far behind it."""
    if length is None:
        return True
    inside = (rows[:, 0] * unit < length) & (rows[:, 1] * unit <= _far_behind(length))
    return 2 * inside.sum() > len(rows)


def _too_slow(rows: np.ndarray, length: float | None) -> bool:
    """Whether captions would last too long; chapters, which fill their video, may."""
    fills = length is not None and 0.9 * length <= rows[:, 1].max() <= 1.05 * length
    return bool(not fills and np.median(rows[:, 1] - rows[:, 0]) > _LONG)


def _reach(rows: np.ndarray, unit: float, length: float | None) -> float:
    """Where the last caption ends, as a share of the video."""
    return 1.0 if length is None else max(rows[:, 1].max() * unit / length, 1e-6)


def _speed(rows: np.ndarray, unit: float) -> float:
    """Characters a second of the median caption."""
    lengths = np.maximum((rows[:, 1] - rows[:, 0]) * unit, 1e-3)
    return float(np.median(rows[:, 2] / lengths))
