"""The page of a search: pictures of the windows found, which play at their time."""

import base64
import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from vatt_gh.files import write_whole
from vatt_gh.report.page import document

_STYLE = """
.hits { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 1.2em; }
.hit video, .hit .gone { width: 100%; aspect-ratio: 4 / 3; background: #222; color: #bbb;
                         object-fit: contain; }
.hit p { margin: 0.2em 0; overflow-wrap: anywhere; }
""".strip()


@dataclasses.dataclass(frozen=True)
class Hit:
    """A window that was found.

    Attributes:
        video_id: path of its file in the folder.
        start, end: its limits, in seconds of the file.
        score: its cosine with the query.
        picture: [h, w, 3] uint8 of its middle; None: the file cannot be read any more.
    """

    video_id: str
    start: float
    end: float
    score: float
    picture: np.ndarray | None = None


def write_hits(path: Path, query: str, folder: Path, hits: Sequence[Hit]) -> Path:
    """Writes the page.

    Args:
        path: path of the page; its folder is made.
        query: the query, for display.
        folder: folder of the files.
        hits: the best first.

    Returns:
        `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"Search: {query}"
    note = (
        f"<p class='note'>{len(hits)} windows of {html.escape(str(folder))}, the best first. The "
        "number is the cosine of query and picture.</p>"
    )
    cards = [_card(number, hit, folder) for number, hit in enumerate(hits, 1)]
    body = [f"<h1>{html.escape(title)}</h1>", note, "<div class='hits'>", *cards, "</div>"]
    write_whole(path, document(title, body, _STYLE))
    return path


def _card(number: int, hit: Hit, folder: Path) -> str:
    # The browser plays this part of the file alone.
    source = f"{(folder / hit.video_id).absolute().as_uri()}#t={hit.start:.2f},{hit.end:.2f}"
    link = html.escape(source)
    if hit.picture is None:
        picture = "<div class='gone'>The file cannot be read any more.</div>"
    else:
        picture = f"<video controls preload='none' poster='{_jpeg(hit.picture)}' src='{link}'>"
        picture += "</video>"
    return "\n".join(
        [
            "<div class='hit'>",
            picture,
            f"<p><b>{number}.</b> {hit.score:.3f}, {hit.start:.1f} to {hit.end:.1f} s</p>",
            f"<p><a href='{link}'>{html.escape(hit.video_id)}</a></p>",
            "</div>",
        ]
    )


def _jpeg(picture: np.ndarray) -> str:
    """Encodes a picture as a link that holds it."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return f"data:image/jpeg;base64,{quote(base64.b64encode(data.tobytes()).decode())}"
