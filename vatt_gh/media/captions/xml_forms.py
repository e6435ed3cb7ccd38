"""Captions of one video as XML: TTML, and YouTube's own srv1, srv2 and srv3."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from vatt_gh.media.captions.cues import CaptionFileError, Cue, plain_text
from vatt_gh.media.captions.json_forms import json3_cues

_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?")
_OFFSET = re.compile(r"(\d+(?:\.\d+)?)(h|m|s|ms|f|t)")
_UNITS = {"h": 3600, "m": 60, "s": 1, "ms": Fraction(1, 1000)}


def xml_cues(path: Path, content: str) -> list[Cue]:
    """Reads the cues of an XML file; its root shows the form.

    Args:
        path: the file, for messages.
        content: its text: TTML (W3C Timed Text Markup Language 2, sections 8 and 12) in any
            namespace; or YouTube's srv1, srv2 or srv3.

    Returns:
        One cue per paragraph, line or, in a TTML paragraph without times, timed span.

    Raises:
        CaptionFileError: it is not XML, or of another form.
    """
    try:
        # Its declaration may name an encoding, but the text is already decoded.
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", content))
    except (ElementTree.ParseError, RecursionError, ValueError) as error:
        raise CaptionFileError(path, f"is not XML: {error}") from error
    form = _name(root)
    if form == "tt":
        return list(_Ttml(path, root).cues())
    if form == "timedtext" and root.find("body") is not None:
        return list(json3_cues([_event(p) for p in root.find("body").iter("p")]))
    if form in ("timedtext", "transcript"):
        return [_line(k, line) for k, line in enumerate(root.iter("text"), 1)]
    raise CaptionFileError(
        path, f"is XML with the root {form!r}, which is neither TTML nor a form of YouTube"
    )


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _event(p: ElementTree.Element) -> dict[str, object]:
    """Converts a paragraph of srv3 to an event of json3."""
    event: dict[str, object] = {"segs": [{"utf8": "".join(p.itertext())}]}
    for key, name in (("tStartMs", "t"), ("dDurationMs", "d"), ("aAppend", "a")):
        if name in p.attrib:
            event[key] = _number(p.attrib[name])
    return event


def _line(k: int, line: ElementTree.Element) -> Cue:
    """Reads a line of srv1, in seconds, or of srv2, in milliseconds."""
    srv2 = "t" in line.attrib
    start, length = (_number(line.get(name)) for name in (("t", "d") if srv2 else ("start", "dur")))
    if start is not None and length is not None:
        scale = 1000 if srv2 else 1
        times = round(start / scale, 6), round((start + length) / scale, 6)
    else:
        times = None, None
    return Cue(f"line {k}", plain_text("".join(line.itertext())), *times)


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


class _Ttml:
    """A TTML document.

    Args:
        path: the file, for messages.
        root: its root element.
    """

    def __init__(self, path: Path, root: ElementTree.Element):
        self._path, self._root, self._count = path, root, 0
        given = {key.rpartition("}")[2]: value for key, value in root.attrib.items()}
        try:
            times, parts = map(Fraction, given.get("frameRateMultiplier", "1 1").split())
            self._frames = Fraction(given.get("frameRate", "30")) * times / parts
            ticks = self._frames if "frameRate" in given else Fraction(1)
            self._ticks = Fraction(given.get("tickRate", ticks))
            if not (self._frames > 0 and self._ticks > 0):
                raise ValueError("a rate of 0")
        except (ValueError, ZeroDivisionError) as error:
            raise CaptionFileError(
                path, f"is TTML whose rates are no numbers above 0: {error}"
            ) from error

    def cues(self) -> Iterator[Cue]:
        """Yields its captions."""
        for body in self._root:
            if _name(body) == "body":
                yield from self._below(body, Fraction(0), None)

    def _below(
        self, element: ElementTree.Element, start: Fraction, end: Fraction | None
    ) -> Iterator[Cue]:
        """Yields the cues of an element whose parent is shown from `start` to `end`, in seconds."""
        name = _name(element)
        if element.get("timeContainer") == "seq":
            raise CaptionFileError(self._path, "is TTML in which times follow one another (seq)")
        if name == "p":
            self._count += 1
        timed = not element.attrib.keys().isdisjoint(("begin", "end", "dur"))
        spans = [e for e in element.iter() if _name(e) == "span" and "begin" in e.attrib]
        if (name == "p" and (timed or not spans)) or (name == "span" and timed):
            where, text = f"paragraph {self._count}", plain_text(_text(element))
            try:
                start, end = self._times(element, start, end)
                yield Cue(where, text, float(start), None if end is None else round(float(end), 6))
            except ValueError:
                yield Cue(where, text, None, None)
            return
        try:
            start, end = self._times(element, start, end)
        except ValueError as error:
            raise CaptionFileError(self._path, f"is TTML with a <{name}> at {error}") from error
        for child in element:
            yield from self._below(child, start, end)

    def _times(
        self, element: ElementTree.Element, start: Fraction, end: Fraction | None
    ) -> tuple[Fraction, Fraction | None]:
        begin = start + self._seconds(element.get("begin", "0s"))
        ends = [] if end is None else [end]
        if "end" in element.attrib:
            ends.append(start + self._seconds(element.attrib["end"]))
        if "dur" in element.attrib:
            ends.append(begin + self._seconds(element.attrib["dur"]))
        return begin, min(ends, default=None)

    def _seconds(self, text: str) -> Fraction:
        text = text.strip().replace(",", ".")
        if match := _CLOCK.fullmatch(text):
            hours, minutes, seconds, frames = match.groups()
            whole = 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)
            return whole + Fraction(frames or 0) / self._frames
        if match := _OFFSET.fullmatch(text):
            number, unit = Fraction(match[1]), match[2]
            if unit in _UNITS:
                return number * _UNITS[unit]
            return number / (self._frames if unit == "f" else self._ticks)
        raise ValueError(repr(text))


def _text(element: ElementTree.Element) -> str:
    """Returns the text of an element, with spaces for line breaks, without metadata."""
    name = _name(element)
    if name == "br":
        return " "
    if name not in ("p", "span"):
        return ""
    parts = [element.text or ""]
    for child in element:
        parts += [_text(child), child.tail or ""]
    return "".join(parts)
