"""mode=search: ranks the windows of an extracted folder by a sentence, a video or a sound."""

import dataclasses
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from vatt_gh.errors import UserError
from vatt_gh.evaluation.embedder import Embedded, Embedder, load
from vatt_gh.evaluation.extract import folder_of
from vatt_gh.evaluation.retrieval import unit
from vatt_gh.evaluation.vectors import VectorBlock, Vectors
from vatt_gh.media.form import Form, MediaError
from vatt_gh.media.sound_file import is_sound_file
from vatt_gh.media.video import read_window
from vatt_gh.media.words import split_words
from vatt_gh.report.search import Hit, write_hits

_THUMBNAIL = Form(short_side=180)
# Windows kept per wanted result: those that overlap a better one of their video are left out.
_SPARE = 8
_TOUCH = 1e-3  # s, rounding of times


def search(config: ConfigDict, workdir: Path) -> list[Hit]:
    """Finds windows by their pictures, prints them, and writes a page.

    Args:
        config: the whole configuration, checked; `search` has the query, `extract.to` the vectors.
        workdir: work directory of the run.

    Returns:
        The best windows, the best first.

    Raises:
        UserError: the query's file cannot be read; there are no vectors, or they are of another
            checkpoint.
    """
    text, file = config.search.query, config.search.file
    vectors = Vectors(folder_of(config.extract, workdir))
    about = vectors.about()
    embedder = load(workdir, config)
    if about["weights"] != embedder.fingerprint:
        raise UserError(
            "The vectors are of another checkpoint: they cannot be compared with the query.",
            where=vectors.folder,
            expected=f"vectors of the newest checkpoint of {workdir}",
            todo="extract again, into another --config.extract.to",
        )
    column, query = _query(embedder, text, file)
    hits = _hits(query, vectors, column, config.search.results)
    folder = Path(about["videos"])
    hits = [_pictured(hit, folder) for hit in hits]
    for number, hit in enumerate(hits, 1):
        print(f"{number:4} {hit.score:7.3f}  {hit.start:8.1f} to {hit.end:.1f} s  {hit.video_id}")
    page = write_hits(_page(workdir, text or Path(file).name), text or file, folder, hits)
    print(f"Page: {page}")
    return hits


def _hits(query: np.ndarray, vectors: Vectors, column: str, wanted: int) -> list[Hit]:
    count = wanted * _SPARE
    while True:
        found = nearest(query, vectors.blocks("video", column), count)
        hits = apart(found, wanted)
        if len(hits) == wanted or len(found) < count:
            return hits
        count *= 4  # most of them overlap


def nearest(query: np.ndarray, blocks: Iterable[VectorBlock], count: int) -> list[Hit]:
    """Ranks windows by their cosine with a query; holds one block at a time.

    Args:
        query: [D] float32, of unit length.
        blocks: blocks with vectors of unit length.
        count: number of the best windows to keep.

    Returns:
        At most `count` windows, the best first; among equal ones, the first one read.
    """
    best: list[Hit] = []
    for block in blocks:
        scores = block.vectors @ query
        rows = np.flatnonzero(scores > (best[-1].score if len(best) == count else -np.inf))
        for row in rows[np.argsort(-scores[rows], kind="stable")][:count]:
            place = block.video_ids[row], float(block.start[row]), float(block.end[row])
            best.append(Hit(*place, float(scores[row])))
        best = sorted(best, key=lambda hit: -hit.score)[:count]
    return best


def apart(hits: Iterable[Hit], count: int) -> list[Hit]:
    """Picks the best windows, without those that overlap a better one of their video.

    Args:
        hits: the best first.
        count: number of wanted windows.

    Returns:
        At most `count` of them.
    """
    kept: list[Hit] = []
    for hit in hits:
        if len(kept) == count:
            break
        mine = [other for other in kept if other.video_id == hit.video_id]
        if all(hit.start > x.end - _TOUCH or x.start > hit.end - _TOUCH for x in mine):
            kept.append(hit)
    return kept


def _query(embedder: Embedder, text: str, file: str) -> tuple[str, np.ndarray]:
    """Embeds the query; returns the searched column and the query's vector [D] of unit length."""
    if text:
        known = set(embedder.words)
        unknown = [word for word in split_words(text) if word not in known]
        if unknown:
            print(f"Not in the run's vocabulary: {', '.join(unknown)}")
        return "video_to_text", embedder.embed_text(text)[0]
    if is_sound_file(file):
        return "video_to_audio", _mean(embedder.embed_audio(file), "audio_to_video", "audio")
    return "video_to_audio", _mean(embedder.embed_video(file), "video_to_audio", "video")


def _mean(found: Embedded, name: str, modality: str) -> np.ndarray:
    return unit(found.embeddings[name][found.masks[modality]].mean(axis=0))


def _pictured(hit: Hit, folder: Path) -> Hit:
    """Adds the picture in the middle of a window, if its file is still there."""
    frame = round((hit.start + hit.end) / 2 * _THUMBNAIL.fps)
    try:
        pictures, _ = read_window(
            folder / hit.video_id, _THUMBNAIL, range(frame, frame + 1), range(0)
        )
    except MediaError:
        return hit
    return dataclasses.replace(hit, picture=pictures[0])


def _page(workdir: Path, query: str) -> Path:
    name = re.sub(r"\W+", "-", query).strip("-")[:60] or "query"
    digest = hashlib.blake2b(query.encode(), digest_size=3).hexdigest()
    return Path(workdir) / "search" / f"{name}-{digest}.html"
