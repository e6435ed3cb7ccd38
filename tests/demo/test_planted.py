"""An oracle's knowledge of a rendered corpus."""

from types import SimpleNamespace

import numpy as np

from vatt_gh.demo.narration import PHRASES
from vatt_gh.demo.planted import Planted
from vatt_gh.demo.truth import Truth
from vatt_gh.evaluation.retrieval import expected_scores


def test_an_oracle_knows_what_captions_say_and_clips_show(small_corpus):
    truth = Truth.load(small_corpus / "alignment.jsonl")
    rows = [(name, line) for name in truth.video_ids for line in truth.captions(name)]
    clips = SimpleNamespace(
        video_ids=np.array([name for name, _ in rows]),
        captions=np.array([line["text"] for _, line in rows]),
        start=np.array([line["start"] for _, line in rows]),
        end=np.array([line["end"] for _, line in rows]),
    )
    knows = Planted(truth).similarity(clips)
    for query, (_, line) in enumerate(rows):
        for clip, (name, other) in enumerate(rows):
            window = truth.window(name, other["start"], other["end"])
            expected = sum(
                value == line[kind] and any(way in line["text"] for way in PHRASES[value])
                for kind, value in zip(
                    ("shape", "colour", "motion"),
                    (window.shape, window.colour, window.motion),
                    strict=True,
                )
            )
            assert knows[query, clip] == expected
    assert expected_scores(knows)["r10"] > 0.9
