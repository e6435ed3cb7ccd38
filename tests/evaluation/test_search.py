"""Search in extracted vectors: against plain sorting, by text, sound and video."""

import numpy as np
import pytest
from evaluation.extraction import rows

import vatt_gh
from vatt_gh.errors import UserError
from vatt_gh.evaluation.extract import extract
from vatt_gh.evaluation.search import apart, nearest, search
from vatt_gh.evaluation.vectors import VectorBlock
from vatt_gh.report.search import Hit


def test_search_ranks_by_cosine_and_shows_pictures(run, vectors, capsys):
    config = run[0].copy_and_resolve_references()
    config.extract.to, config.search.query, config.search.results = (
        str(vectors[1]),
        "Word7, unheard",
        6,
    )
    hits = search(config, run[1])
    assert "Not in the run's vocabulary: unheard" in capsys.readouterr().out
    query = vatt_gh.load(run[1]).embed_text("word7 unheard")[0]
    every = {key: float(x @ query) for key, x in rows(vectors[1], "video", "video_to_text").items()}
    best = max(every, key=every.get)
    assert (hits[0].video_id, round(hits[0].start, 3)) == best
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    for hit in hits:
        assert hit.score == pytest.approx(every[hit.video_id, round(hit.start, 3)], abs=1e-5)
        assert hit.picture.shape[2] == 3
    (page,) = (run[1] / "search").glob("Word7-unheard-*.html")
    text = page.read_text()
    assert text.count("<video") == len(hits) and "#t=" in text


def test_a_search_goes_on_until_there_are_enough_windows_apart(run, films, tmp_path):
    config = run[0].copy_and_resolve_references()
    config.extract.update(videos=str(films), to=str(tmp_path / "to"), every=0.05)
    extract(config, run[1])  # a window at every frame
    config.search.query, config.search.results = "word7", 25
    hits = search(config, run[1])
    assert len(hits) == 25 and all(hit.picture is not None for hit in hits)
    for first in hits:
        for other in hits:
            if other is not first and other.video_id == first.video_id:
                assert first.start > other.end - 2e-3 or other.start > first.end - 2e-3


def test_a_sound_and_a_video_are_queries_too(run, films, vectors):
    config = run[0].copy_and_resolve_references()
    config.extract.to = str(vectors[1])
    found = rows(vectors[1], "video", "video_to_audio")
    for name, column, modality in (
        ("song.wav", "audio_to_video", "audio"),
        ("upright.mkv", "video_to_audio", "video"),
    ):
        config.search.file = str(films / name)
        windows = rows(vectors[1], modality, column)
        mean = np.mean([x for (video, _), x in windows.items() if video == name], axis=0)
        scores = {key: x @ mean / np.linalg.norm(mean) for key, x in found.items()}
        first = search(config, run[1])[0]
        assert (first.video_id, round(first.start, 3)) == max(scores, key=scores.get)


def test_a_search_without_vectors_says_how_to_make_them(run, tmp_path):
    config = run[0].copy_and_resolve_references()
    config.extract.to, config.search.query = str(tmp_path), "a"
    with pytest.raises(UserError, match="There are no vectors"):
        search(config, run[1])


@pytest.mark.parametrize("seed", range(5))
def test_ranking_in_blocks_is_sorting_all(seed):
    rng = np.random.default_rng(seed)
    # Few different values, so that many tie.
    vectors = rng.integers(-2, 3, (200, 3)).astype(np.float32)
    query = rng.integers(-2, 3, 3).astype(np.float32)
    cuts = np.sort(rng.integers(0, 201, 6))
    ids = np.array([f"v{n}" for n in range(200)], object)
    times = np.zeros(200, np.float32)
    parts = [np.arange(200)[a:b] for a, b in zip([0, *cuts], [*cuts, 200], strict=True)]
    blocks = [VectorBlock(ids[p], times[p], times[p], vectors[p]) for p in parts]
    count = int(rng.integers(1, 250))
    order = np.argsort(-(vectors @ query), kind="stable")[:count]
    assert [hit.video_id for hit in nearest(query, blocks, count)] == ids[order].tolist()


def test_overlapping_windows_of_a_video_are_shown_once():
    hits = [Hit("a", 0, 2, 0.9), Hit("a", 1, 3, 0.8), Hit("b", 1, 3, 0.7), Hit("a", 2, 4, 0.6)]
    assert apart(hits, 3) == [hits[0], hits[2], hits[3]]
    assert apart(hits, 2) == [hits[0], hits[2]]
