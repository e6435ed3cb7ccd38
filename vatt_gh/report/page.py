"""The page of a run: index.html with its scores and pictures, to open from disk.

One file of HTML and CSS, without scripts or external links: it can be sent with its pictures as a
folder, and will look the same years later.
"""

import html
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from vatt_gh.errors import UserError
from vatt_gh.files import write_whole

_STYLE = """
body { font: 16px/1.5 system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif;
       color: #1c1c1c; background: #fff; max-width: 1000px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.7em; margin: 0 0 0.6em; }
h2 { font-size: 1.25em; margin: 2em 0 0.6em; padding-bottom: 0.2em;
     border-bottom: 1px solid #d5d5d5; }
h3 { font-size: 1.05em; margin: 0 0 0.2em; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 0.3em 1.6em 0.3em 0; }
.scores th, .scores td { border-bottom: 1px solid #e6e6e6; }
.scores thead th { border-bottom: 2px solid #999; font-weight: 600; }
.scores .number { text-align: right; font-variant-numeric: tabular-nums; }
.summary th { font-weight: 400; color: #666; white-space: nowrap; }
.summary td { overflow-wrap: anywhere; }
.note { color: #666; font-size: 0.9em; }
figure { margin: 0 0 2.2em; }
figcaption { margin: 0 0 0.5em; max-width: 46em; }
figcaption p { margin: 0; color: #444; }
img { width: 100%; height: auto; border: 1px solid #e0e0e0; box-sizing: border-box; }
""".strip()

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
{body}
</body>
</html>
"""

# References for a score, in the order of the columns.
REFERENCES = ("low", "high", "chance", "untrained", "plain", "ceiling", "published")
_OFTEN_UNKNOWN = ("plain", "published", "low", "high")  # no column where no score has them
# Words in measures for which less is better; for all others more is.
_LESS_IS_BETTER = ("rank", "loss", "error")


def less_is_better(measure: str) -> bool:
    """Tells whether less of a score is better, by its name, such as 'r5'."""
    return any(word in measure for word in _LESS_IS_BETTER)


@dataclass(frozen=True)
class ScoreRow:
    """One number of results.json.

    Attributes:
        group: its group, such as "retrieval"; empty at the top level.
        measure: its name, such as "r1".
        value: the measured value; None if it is null, not a number or infinite.
        chance: the value of guessing; None if unknown.
        untrained: the model's value before training; None if unknown.
        ceiling: an oracle's value; None if unknown.
        plain: the value of plain VATT after the same training; None if unknown.
        published: the value in the original's paper for this protocol; None if unknown.
        low, high: ends of a 95 % interval over videos; None if unknown.
    """

    group: str
    measure: str
    value: float | None
    chance: float | None = None
    untrained: float | None = None
    ceiling: float | None = None
    plain: float | None = None
    published: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def better(self) -> str:
        """Which direction is better: "less" or "more"."""
        return "less" if less_is_better(self.measure) else "more"


def flatten_scores(results: Mapping[str, Any], group: str = "") -> list[ScoreRow]:
    """Lists the numbers of results.json in file order.

    Args:
        results: nested groups; a leaf is {"value": number}, with "chance", "untrained",
            "plain", ... if known, or a bare number. Anything else (text, lists) is
            left out.
        group: the group that all of them are in; "": none.

    Returns:
        One score per leaf; the names of nested groups are joined by " / ".
    """
    scores = []
    for key, leaf in results.items():
        if isinstance(leaf, Mapping) and "value" not in leaf:
            scores += flatten_scores(leaf, f"{group} / {key}" if group else key)
        elif isinstance(leaf, Mapping):
            known = {name: _number(leaf.get(name)) for name in ("value", *REFERENCES)}
            scores.append(ScoreRow(group, key, **known))
        elif leaf is None or (isinstance(leaf, (int, float)) and not isinstance(leaf, bool)):
            scores.append(ScoreRow(group, key, _number(leaf)))
    return scores


def write_page(
    workdir: str | os.PathLike[str],
    *,
    title: str,
    summary: Sequence[tuple[str, str]],
    pictures: Sequence[tuple[str, str, str]],
    results: Mapping[str, Any],
) -> Path:
    """Writes WORKDIR/index.html.

    Args:
        workdir: the folder of the run, on a local disk.
        title: the page's heading.
        summary: (name, text) facts about the run, shown at the top.
        pictures: (file, heading, explanation), the file relative to `workdir`.
        results: the contents of results.json, see `flatten_scores`.

    Returns:
        The path of the page.

    Raises:
        UserError: a picture does not exist, or lies outside `workdir`.
    """
    workdir = Path(workdir)
    for file, _, _ in pictures:
        _check_picture(workdir, file)
    sections = [f"<h1>{html.escape(title)}</h1>", _summary(summary), "<h2>Scores</h2>"]
    sections.append(_scores(flatten_scores(results)))
    if pictures:
        sections.append("<h2>Pictures</h2>")
        sections += [_figure(*picture) for picture in pictures]
    path = workdir / "index.html"
    write_whole(path, document(title, sections))
    return path


def document(title: str, sections: Sequence[str], style: str = "") -> str:
    """Makes a page of HTML.

    Args:
        title: title of the window, as plain text.
        sections: HTML of the body.
        style: more CSS.

    Returns:
        The whole page.
    """
    body = "\n".join(sections)
    return _PAGE.format(title=html.escape(title), style=f"{_STYLE}\n{style}", body=body)


def known_references(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lists the references that have a column beside these scores, in the order of REFERENCES."""
    return [
        name
        for name in REFERENCES
        if name not in _OFTEN_UNKNOWN or any(score.get(name) is not None for score in scores)
    ]


def _number(value: float | None) -> float | None:
    """Returns a finite number, or None."""
    return None if value is None or not math.isfinite(value) else float(value)


def _check_picture(workdir: Path, file: str) -> None:
    """Refuses a picture whose link would be broken, here or where the folder is copied to."""
    relative = PurePosixPath(file)
    if relative.is_absolute() or ".." in relative.parts:
        raise UserError(
            "A picture of the page lies outside the work directory.",
            where=file,
            expected=f"a path relative to {workdir}",
            todo="write the picture below the work directory, for example in pictures/",
        )
    if not (workdir / file).is_file():
        raise UserError(
            "A picture of the page does not exist.",
            where=workdir / file,
            expected="a picture written before the page",
            todo="draw the picture first, or leave it out of the page",
        )


def _summary(summary: Sequence[tuple[str, str]]) -> str:
    """Returns the table of facts about the run."""
    rows = (
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
        for name, text in summary
    )
    return "\n".join(['<table class="summary">', *rows, "</table>"])


def _scores(scores: Sequence[ScoreRow]) -> str:
    """Returns the table of scores, or a sentence if there are none."""
    if not scores:
        return '<p class="note">This run measured no scores.</p>'
    names = known_references([vars(score) for score in scores])
    rows = []
    for score in scores:
        known = [_shown(getattr(score, name), "") for name in names]
        numbers = [_shown(score.value, "not measured"), *known]
        cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
        better = score.better if any(known) else ""
        rows.append(
            f"<tr><td>{html.escape(score.group)}</td><td>{html.escape(score.measure)}</td>"
            f"{cells}<td>{better}</td></tr>"
        )
    heads = "".join(f'<th class="number">{name}</th>' for name in ("value", *names))
    head = f"<thead><tr><th></th><th>measure</th>{heads}<th>better is</th></tr></thead>"
    note = (
        '<p class="note">All on the same clips. Chance is what guessing gives; untrained is this '
        "model before its training, which a score must beat to mean that anything was learnt; "
        "plain, where it is shown, is VATT without harmonization, trained from the same start on "
        "the same batches; "
        "the ceiling is what an oracle gives that knows what captions say and clips show; "
        "published is what VATT's paper reports for the same data set and model after its own "
        "pre-training (how its protocol differs: docs/evaluation.md); "
        "low and high end a 95 % interval over videos.</p>"
    )
    return "\n".join(
        ['<table class="scores">', head, "<tbody>", *rows, "</tbody>", "</table>", note]
    )


def _shown(value: float | None, missing: str) -> str:
    """Returns a number with four digits, or the word for a missing one."""
    return missing if value is None else f"{value:.4g}"


def _figure(file: str, heading: str, explanation: str) -> str:
    """Returns one picture with its caption; the picture links to its own file."""
    link, heading = html.escape(quote(file)), html.escape(heading)
    return f"""<figure>
<figcaption><h3>{heading}</h3><p>{html.escape(explanation)}</p></figcaption>
<a href="{link}"><img src="{link}" alt="{heading}"></a>
</figure>"""
