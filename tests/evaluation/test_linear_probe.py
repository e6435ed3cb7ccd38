"""Linear probes: find existing structure, no other, and keep videos apart."""

import numpy as np
import pytest

from vatt_gh.errors import UserError
from vatt_gh.evaluation.linear_probe import probe_accuracy


def clips(videos=20, each=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"video{k}" for k in range(videos)], each)
    labels = np.array(["circle", "ring", "star"])[rng.integers(0, classes, len(groups))]
    return rng, groups, labels


def test_separable_classes_are_told_apart():
    rng, groups, labels = clips()
    centres = {"circle": [3, 0, 0, 9], "ring": [0, 3, 0, 9], "star": [0, 0, 3, 9]}
    features = np.array([centres[label] for label in labels], np.float32)
    features += rng.normal(size=features.shape) * 0.3
    # A different scale for every feature, and one constant feature.
    features = np.float32(features * [1e-3, 1.0, 1e3, 0.0])
    score = probe_accuracy(features, labels, groups)
    assert score["value"] == 1.0
    largest = max((labels == name).mean() for name in centres)
    assert score["chance"] == pytest.approx(largest)


def test_features_without_meaning_score_chance():
    rng, groups, labels = clips(videos=40, each=10)
    score = probe_accuracy(rng.normal(size=(400, 8)).astype(np.float32), labels, groups)
    assert score["value"] == pytest.approx(1 / 3, abs=0.08)
    assert score["low"] < score["value"] < score["high"]
    normal = 2 * 1.96 * np.sqrt(score["value"] * (1 - score["value"]) / 400)
    assert score["high"] - score["low"] == pytest.approx(normal, rel=0.3)


def test_a_video_is_never_on_both_sides():
    # Features that identify only the video: a leak would reveal every class.
    rng, groups, _ = clips(videos=40, each=5)
    names, number = np.unique(groups, return_inverse=True)
    labels = rng.integers(0, 2, len(names))[number]
    score = probe_accuracy(np.eye(len(names), dtype=np.float32)[number] * 100, labels, groups)
    assert score["value"] < 0.65


@pytest.mark.parametrize(("videos", "classes"), [(3, 3), (1, 3), (20, 1)])
def test_too_few_videos_or_classes_are_said(videos, classes):
    rng, groups, labels = clips(videos=videos, classes=classes)
    features = rng.normal(size=(len(labels), 4))
    with pytest.raises(UserError, match=rf"^{videos} videos with {classes} class") as caught:
        probe_accuracy(features, labels, groups)
    assert "at least 4 videos and 2 classes" in caught.value.expected


def test_no_clip_at_all_is_said():
    with pytest.raises(UserError, match="0 videos with 0 class"):
        probe_accuracy(np.zeros((0, 4)), np.zeros(0, "U3"), np.zeros(0, "U3"))


def test_a_class_of_one_video_alone_is_never_known_when_it_is_asked():
    groups = np.repeat([f"video{k}" for k in range(4)], 5)
    labels = np.where(groups == "video3", "rare", "usual")
    score = probe_accuracy(np.random.default_rng(0).normal(size=(20, 3)), labels, groups)
    # When video3 is asked, the other three show "usual" only.
    assert score["chance"] == 0.75
    assert score["value"] <= 0.75
    exact = np.where(labels == "rare", 5.0, -5.0)[:, None] * np.ones(3)
    assert probe_accuracy(exact, labels, groups)["value"] == 0.75
