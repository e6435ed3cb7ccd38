"""Asks a finished demo ten questions, chosen before any of them was asked.

    python tests/search_in_demo.py work/demo

Extracts the vectors of the demo's held-out videos, searches in them, and counts the queries with a
right scene among the first five windows, beside what guessing and the untrained model find. Ends
with an error if fewer than eight are answered.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import vatt_gh
from vatt_gh.demo.narration import attributes_said
from vatt_gh.demo.truth import Truth
from vatt_gh.evaluation.embedder import Embedder
from vatt_gh.evaluation.extract import extract
from vatt_gh.evaluation.loading import load_for_evaluation, weights_of
from vatt_gh.evaluation.search import apart, nearest
from vatt_gh.evaluation.vectors import VectorBlock, Vectors

QUERIES = (
    "a red circle",
    "there is the blue star",
    "look at this ring it is green",
    "the yellow square",
    "a cross in blue",
    "that nice red triangle again",
    "a green diamond",
    "the yellow star",
    "what we want is a blue ring",
    "here you can see a green circle",
)
FIRST = 5


def answered(model: Embedder, blocks: list[VectorBlock], truth: Truth) -> list[bool]:
    """Whether one of the first windows shows what a query says."""
    found = []
    for query, vector in zip(QUERIES, model.embed_text(QUERIES), strict=True):
        hits = apart(nearest(vector, blocks, 8 * FIRST), FIRST)
        said = attributes_said(query)
        found.append(any(said <= shown(truth, h.video_id, h.start, h.end) for h in hits))
    return found


def shown(truth: Truth, video_id: str, start: float, end: float) -> set[str]:
    """Attributes of the scene in the middle of a window."""
    window = truth.window(Path(video_id).stem, start, end)
    return {window.shape, window.colour, window.motion}


def guessed(blocks: list[VectorBlock], truth: Truth) -> float:
    """Expected number of queries that five windows drawn at random answer."""
    windows = [
        shown(truth, str(v), float(a), float(b))
        for block in blocks
        for v, a, b in zip(block.video_ids, block.start, block.end, strict=True)
    ]
    shares = [np.mean([attributes_said(q) <= w for w in windows]) for q in QUERIES]
    return float(sum(1 - (1 - share) ** FIRST for share in shares))


def main(workdir: Path) -> None:
    """Prints the three numbers."""
    corpus = workdir / "corpus" / "heldout"
    truth, model = Truth.load(corpus / "alignment.jsonl"), vatt_gh.load(workdir)
    with tempfile.TemporaryDirectory() as folder:
        config = model.config.copy_and_resolve_references()
        config.extract.videos, config.extract.to = str(corpus / "videos"), folder
        extract(config, workdir)
        blocks = list(Vectors(Path(folder)).blocks("video", "video_to_text"))
    right = answered(model, blocks, truth)
    drawn = Embedder(
        model.model,
        weights_of(load_for_evaluation(model.config, workdir).drawn),
        model.words,
        model.config,
        model.audio_rate,
    )
    others = []
    for path in sorted((corpus / "videos").glob("*.mp4")):
        part = drawn.embed_video(path)
        ids = np.array([path.name] * len(part.start), object)
        others.append(VectorBlock(ids, part.start, part.end, part.embeddings["video_to_text"]))
    print(f"{sum(right)} of {len(QUERIES)} queries are answered among the first {FIRST} windows")
    print(
        f"untrained: {sum(answered(drawn, others, truth))}, guessing: {guessed(blocks, truth):.1f}"
    )
    for query, good in zip(QUERIES, right, strict=True):
        print(f"  {'right' if good else 'wrong'}  {query}")
    if sum(right) < 8:
        sys.exit("fewer than 8 of 10")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
