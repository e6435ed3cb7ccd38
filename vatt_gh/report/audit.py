"""The page of an audit: distributions, and clips to filter, sort, look at and listen to."""

import dataclasses
import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vatt_gh.files import write_whole
from vatt_gh.report import canvas
from vatt_gh.report.page import document

_VIDEOS = 10  # videos in the page's table
_STYLE = """
.controls { display: flex; flex-wrap: wrap; gap: 0.8em; align-items: center; margin: 1em 0; }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 1.4em; }
.clip audio { width: 100%; height: 2em; }
.clip p { margin: 0.2em 0; overflow-wrap: anywhere; }
""".strip()

# Everything is in the page: it opens from a disk, where a browser loads no other data.
_SCRIPT = """
const PER_PAGE = 24;
const state = {page: 0};
const get = id => document.getElementById(id);
const number = x => x === null ? "none" : x.toFixed(3);

function chosen() {
  const words = get("filter").value.toLowerCase(), measure = get("measure").value;
  const sign = get("order").value === "worst" ? 1 : -1;
  return CLIPS
    .filter(c => (c.video_id + " " + c.caption).toLowerCase().includes(words))
    .filter(c => c.percentiles[measure] !== null)
    .sort((a, b) => sign * (a.percentiles[measure] - b.percentiles[measure]));
}

function element(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

function card(clip) {
  const made = element("div", "");
  made.className = "clip";
  const picture = document.createElement("img");
  picture.src = clip.picture;
  picture.loading = "lazy";
  made.append(picture);
  if (clip.sound) {
    const sound = document.createElement("audio");
    sound.controls = true;
    sound.preload = "none";
    sound.src = clip.sound;
    made.append(sound);
  } else {
    made.append(element("p", "no sound"));
  }
  made.append(element("p", clip.caption));
  const where = `${clip.video_id}, ${clip.start.toFixed(1)} to ${clip.end.toFixed(1)} s`;
  made.append(element("p", where));
  const measures = Object.keys(clip.measures).map(
    name => `${name} ${number(clip.measures[name])}`
      + (clip.percentiles[name] === null ? "" : ` (${clip.percentiles[name].toFixed(0)} %)`));
  const note = element("p", measures.join(", "));
  note.className = "note";
  made.append(note);
  return made;
}

function show() {
  const clips = chosen(), pages = Math.max(1, Math.ceil(clips.length / PER_PAGE));
  state.page = Math.min(Math.max(state.page, 0), pages - 1);
  const first = state.page * PER_PAGE;
  get("clips").replaceChildren(...clips.slice(first, first + PER_PAGE).map(card));
  get("where").textContent = `page ${state.page + 1} of ${pages}, ${clips.length} clips`;
  get("previous").disabled = state.page === 0;
  get("next").disabled = state.page === pages - 1;
}

for (const [id, event] of [["filter", "input"], ["measure", "change"], ["order", "change"]]) {
  get(id).addEventListener(event, () => { state.page = 0; show(); });
}
get("previous").addEventListener("click", () => { state.page -= 1; show(); });
get("next").addEventListener("click", () => { state.page += 1; show(); });
show();
"""


@dataclasses.dataclass(frozen=True)
class Shown:
    """A clip of the page.

    Attributes:
        video_id, start, end: its video, and its limits in seconds of the video.
        caption: its caption.
        picture: file with three of its frames, relative to the page.
        sound: file with its sound; None: it has none.
        measures: its scores by name; NaN: undefined.
        percentiles: ranks from 0 for the worst clip of the data set to 100; NaN: undefined.
    """

    video_id: str
    start: float
    end: float
    caption: str
    picture: str
    sound: str | None
    measures: dict[str, float]
    percentiles: dict[str, float]


def write_audit_page(
    folder: Path,
    measures: Mapping[str, np.ndarray],
    clips: Sequence[Shown],
    videos: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
) -> Path:
    """Writes FOLDER/index.html and its picture of the distributions.

    Args:
        folder: folder of the page.
        measures: [n] float64 by name, for all clips of the data set, NaN where undefined.
        clips: the clips to look at.
        videos: the worst first; each with 'video_id', 'clips' and mean percentiles by measure.
        summary: facts for the top of the page.

    Returns:
        Path of the page.
    """
    distributions(measures, folder / "distributions.png")
    data = [_finite(dataclasses.asdict(clip)) for clip in clips]
    # "</script>" in a caption would end the script, "<!--" comment it out.
    script = f"const CLIPS = {json.dumps(data)};".replace("<", "\\u003c") + _SCRIPT
    facts = "".join(
        f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(_text(v))}</td></tr>"
        for k, v in summary.items()
    )
    options = "".join(f"<option>{html.escape(name)}</option>" for name in measures)
    body = [
        "<h1>Audit</h1>",
        f"<table class='summary'>{facts}</table>",
        "<h2>Distributions</h2>",
        "<img src='distributions.png' alt='Histograms of all measures'>",
        "<h2>Videos</h2>",
        *_videos(videos),
        "<h2>Clips</h2>",
        f"<p class='note'>{len(clips)} of {summary['clips']} clips: the worst and the best by each "
        "measure. Percentiles are among all clips, 0 is the worst.</p>",
        "<div class='controls'>",
        "<label>filter <input id='filter' placeholder='video or words'></label>",
        f"<label>by <select id='measure'>{options}</select></label>",
        "<label>first <select id='order'><option>worst</option><option>best</option></select>"
        "</label>",
        "<button id='previous'>previous page</button>",
        "<button id='next'>next page</button>",
        "<span id='where'></span>",
        "</div>",
        "<div class='clips' id='clips'></div>",
        f"<script>{script}</script>",
    ]
    page = folder / "index.html"
    write_whole(page, document("Audit", body, _STYLE))
    return page


def _videos(videos: Sequence[Mapping[str, Any]]) -> list[str]:
    """Formats a table of the worst videos."""
    first = videos[:_VIDEOS]
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in first[0])
    cells = [
        "".join(f"<td>{html.escape('' if x is None else _text(x))}</td>" for x in video.values())
        for video in first
    ]
    return [
        f"<p class='note'>The worst {len(first)} of {len(videos)}, by the mean percentiles of "
        "their clips; all are in videos.csv.</p>",
        f"<table class='scores'><thead><tr>{heads}</tr></thead>",
        *(f"<tr>{row}</tr>" for row in cells),
        "</table>",
    ]


def distributions(measures: Mapping[str, np.ndarray], path: Path) -> None:
    """Draws a histogram of each measure.

    Args:
        measures: [n] float64 by name, NaN where undefined.
        path: the PNG to write.
    """
    figure = canvas.new_figure("Scores of all clips", 2.2 * max(len(measures), 1))
    axes = np.atleast_1d(figure.subplots(max(len(measures), 1), 1))
    for part, (name, values) in zip(axes, measures.items(), strict=False):
        part.hist(values[np.isfinite(values)], bins=60, color=canvas.BLUE)
        part.set_xlabel(name)
        part.set_ylabel("clips")
        canvas.tidy(part)
    canvas.save(figure, path)


def _finite(value: Any) -> Any:
    """Replaces NaN by null, which JSON has."""
    if isinstance(value, dict):
        return {key: _finite(x) for key, x in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(x)}" for key, x in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)
