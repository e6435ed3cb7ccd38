"""AudioSet's measures of a linear classifier: against plain code, and on the set's tiny media."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score, roc_auc_score

from vatt_gh.errors import UserError
from vatt_gh.evaluation.evaluators import EVALUATORS
from vatt_gh.evaluation.multi_label import PENALTIES, MultiLabel


def made_up(seed, known=True, tests=60):
    """Clips whose classes show in their features, if `known`."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(size=(120 + tests, 4)) < [0.5, 0.3, 0.2, 0.0]
    truth[:, 0] |= ~truth.any(axis=1)
    features = rng.normal(size=(len(truth), 6)) * [1, 10, 1, 1, 0.1, 1]
    if known:
        features[:, :4] += 2 * truth * [1, 10, 1, 1]
    labels = [[f"class{k}" for k in np.flatnonzero(row)] for row in truth]
    splits = [{"balanced_train"}] * 120 + [{"eval"}] * tests
    held_out = SimpleNamespace(
        builder="audioset", labelled=lambda *arguments: (features, labels, splits)
    )
    return held_out, features, truth


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_ridge_regression_called_plainly(seed):
    held_out, features, truth = made_up(seed)
    count, scores = MultiLabel().run("trained", held_out)
    assert count == 60 and scores["classes"]["value"] == 3
    train, test = slice(120), slice(120, None)
    mean, scale = features[train].mean(axis=0), features[train].std(axis=0)
    scaled = (features - mean) / scale
    found = []
    for penalty in PENALTIES:
        model = Ridge(penalty).fit(scaled[train], truth[train, :3].astype(float))
        answers = model.predict(scaled[test])
        found.append(
            np.mean([average_precision_score(truth[test, k], answers[:, k]) for k in range(3)])
        )
        auc = np.mean([roc_auc_score(truth[test, k], answers[:, k]) for k in range(3)])
        if scores["mean_average_precision"]["value"] == pytest.approx(found[-1]):
            assert scores["auc"]["value"] == pytest.approx(auc)
    assert any(scores["mean_average_precision"]["value"] == pytest.approx(x) for x in found)
    for name in ("mean_average_precision", "auc", "d_prime"):
        score = scores[name]
        assert score["low"] < score["value"] < score["high"]
        assert score["low"] > score["chance"]


def test_features_that_know_nothing_score_chance():
    _, scores = MultiLabel().run("trained", made_up(5, known=False, tests=400)[0])
    for name in ("mean_average_precision", "auc", "d_prime"):
        assert scores[name]["value"] == pytest.approx(scores[name]["chance"], abs=0.12)


def test_too_few_clips_are_refused():
    held_out, *_ = made_up(0)
    found = held_out.labelled()
    held_out.labelled = lambda *arguments: (found[0], found[1], [{"balanced_train"}] * 180)
    with pytest.raises(UserError, match="too few clips"):
        MultiLabel().run("trained", held_out)


def test_it_wants_its_data_set():
    evaluator = EVALUATORS["multi_label"]
    assert evaluator.wants(SimpleNamespace(builder="audioset"))
    assert not evaluator.wants(SimpleNamespace(builder="ucf101"))
