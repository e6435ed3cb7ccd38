"""Retrieval scores by hand, against counting, and for models that know nothing."""

import numpy as np
import pytest

from vatt_gh.evaluation.retrieval import (
    expected_scores,
    ranks,
    retrieval_scores,
    similarities,
    unit,
)


def test_ranks_by_hand():
    similarity = np.array(
        [
            [0.9, 0.1, 0.2, 0.3],  # first
            [0.5, 0.4, 0.3, 0.2],  # one before it
            [0.7, 0.7, 0.7, 0.1],  # two ties: they rank before it
            [0.3, 0.2, 0.1, 0.0],  # last
        ]
    )
    assert ranks(similarity).tolist() == [1, 2, 3, 4]
    scores = retrieval_scores(similarity)
    assert of(scores["r1"]) == (0.25, 0.25)
    assert of(scores["r5"]) == of(scores["r10"]) == (1.0, 1.0)
    assert of(scores["median_rank"]) == (2.5, 2.5)
    assert scores["r5"]["low"] == scores["r5"]["high"] == 1.0
    assert scores["r1"]["low"] == 0.0 < 0.25 < scores["r1"]["high"] < 1.0


def of(score):
    return score["value"], score["chance"]


def test_ranks_are_counts():
    rng = np.random.default_rng(0)
    similarity = rng.integers(0, 6, (40, 40)).astype(np.float32)  # many ties
    expected = [
        1 + sum(row[j] >= row[i] for j in range(40) if j != i) for i, row in enumerate(similarity)
    ]
    assert ranks(similarity).tolist() == expected
    scores = retrieval_scores(similarity)
    for k in (1, 5, 10):
        share = sum(rank <= k for rank in expected) / 40
        assert of(scores[f"r{k}"]) == (pytest.approx(share), k / 40)
    assert scores["median_rank"]["value"] == sorted(expected)[19] / 2 + sorted(expected)[20] / 2


def test_a_model_that_says_the_same_of_all_clips_scores_nothing():
    scores = retrieval_scores(np.full((50, 50), 0.3, np.float32))
    assert [scores[k]["value"] for k in ("r1", "r5", "r10")] == [0, 0, 0]
    assert scores["median_rank"]["value"] == 50


def test_a_perfect_model_and_one_that_guesses():
    rng = np.random.default_rng(1)
    text = rng.normal(size=(400, 8)).astype(np.float32)
    perfect = retrieval_scores(similarities(text, 3.7 * text))
    assert perfect["r1"]["value"] == 1.0
    assert perfect["median_rank"]["value"] == 1.0
    guess = retrieval_scores(similarities(text, rng.normal(size=(400, 8)).astype(np.float32)))
    for name in ("r1", "r5", "r10"):
        assert guess[name]["value"] == pytest.approx(guess[name]["chance"], abs=0.02)
    assert guess["median_rank"]["chance"] == 200.5
    assert guess["median_rank"]["value"] == pytest.approx(200.5, abs=30)


def test_similarities_are_cosines():
    rng = np.random.default_rng(2)
    text, video = rng.normal(size=(3, 5)), rng.normal(size=(4, 5))
    text[1] = 0  # similar to nothing
    for i, x in enumerate(text):
        for j, y in enumerate(video):
            size = np.sqrt(sum(x * x)) * np.sqrt(sum(y * y))
            expected = sum(x * y) / size if size else 0.0
            assert similarities(text, video)[i, j] == pytest.approx(expected)
    np.testing.assert_array_equal(unit(np.zeros((2, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_similarities_that_are_no_numbers_are_refused(bad):
    similarity = np.eye(3)
    similarity[1, 2] = bad
    with pytest.raises(ValueError, match="must be finite"):
        retrieval_scores(similarity)


def test_an_oracle_reaches_the_ceiling():
    """The ceiling is the mean over all orders of clips that the oracle cannot tell apart."""
    rng = np.random.default_rng(2)
    knows = rng.integers(0, 4, (60, 60))
    np.fill_diagonal(knows, 3)
    ceiling = expected_scores(knows)
    orders = np.array([ranks(knows + 0.5 * rng.uniform(size=knows.shape)) for _ in range(400)])
    for k in (1, 5, 10):
        assert ceiling[f"r{k}"] == pytest.approx(np.mean(orders <= k), abs=0.01)
    assert ceiling["median_rank"] == pytest.approx(np.median(np.mean(orders, axis=0)), abs=0.5)
    assert 0 < ceiling["r1"] < ceiling["r5"] < ceiling["r10"] < 1


def test_an_oracle_that_is_wrong_of_a_clip_finds_it_later():
    knows = np.array([[1, 2, 1], [0, 1, 0], [3, 3, 1]])
    assert expected_scores(knows) == {"r1": 1 / 3, "r5": 1.0, "r10": 1.0, "median_rank": 2.5}
