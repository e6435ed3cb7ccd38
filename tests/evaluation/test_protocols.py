"""Published scores stand beside scores of the same set, model, split and windows alone."""

import pytest

from vatt_gh.config import default
from vatt_gh.evaluation.protocols import PROTOCOLS
from vatt_gh.models.sizes import MODELS


def config_of(model, **changes):
    config = default()
    config.model.update(MODELS[model]())
    config.update_from_flattened_dict(changes)
    return config


@pytest.mark.parametrize(
    ("name", "model", "expected"),
    [
        ("ucf101", "tx_fac_mbs", {"accuracy": 0.892, "low_rank_accuracy": 0.896}),
        ("ucf101", "ut_fac_medium", {"low_rank_accuracy": 0.844}),
        ("esc50", "ut_fac_medium", {"low_rank_accuracy": 0.812}),
        ("ucf101", "tx_fac_bbs", {}),
        ("kinetics400", "tx_fac_mbs", {}),
        ("msrvtt", "tx_fac_mbs", {}),
        (
            "youcook2",
            "ut_fac_medium",
            {"text_to_video_r10": 0.406, "text_to_video_median_rank": 17},
        ),
    ],
)
def test_a_published_score_is_of_the_same_model(name, model, expected):
    found = PROTOCOLS[name].references(config_of(model))
    assert {score: each["published"] for score, each in found.items()} == expected
    assert all("Akbari" in each["source"] for each in found.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"eval.windows": 1},
        {"eval.split": "training"},
        {"model.video.layers": 11},
        {"model.text.kind": "linear"},
    ],
)
def test_another_protocol_or_model_has_none(changes):
    protocol = PROTOCOLS["youcook2"]
    assert protocol.references(config_of("tx_fac_mbs", **{"eval.split": "validation"}))
    assert not protocol.references(config_of("tx_fac_mbs", **changes))


@pytest.mark.parametrize(
    ("name", "model", "expected"),
    [
        ("kinetics400", "tx_fac_bbs", {"top_1": 0.796, "top_5": 0.949}),
        ("kinetics400", "tx_fac_lbs", {"top_1": 0.821, "top_5": 0.955}),
        ("kinetics400", "ut_fac_medium", {"top_1": 0.799, "top_5": 0.949}),
        # Its tower of sound is that of the base model.
        (
            "audioset",
            "tx_fac_lbs",
            {"mean_average_precision": 0.394, "auc": 0.971, "d_prime": 2.895},
        ),
        ("ucf101", "tx_fac_bbs", {}),
    ],
)
def test_a_published_score_of_fine_tuning_is_of_the_same_tower(name, model, expected):
    found = PROTOCOLS[name].finetuned_references(config_of(model).model)
    assert {score: each["published"] for score, each in found.items()} == expected
