"""The numbers of a study's tables, against SciPy's own tests and explicit numbers."""

import csv
import io
import json
import math

import numpy as np
import pytest
from scipy import stats

from vatt_gh.report.results import SCORE_LABELS
from vatt_gh.report.study import write_study_page
from vatt_gh.study.plan import Corpus, Run
from vatt_gh.study.table import paired_differences, row_of, t_interval, to_csv, to_markdown

CAPTIONS = Corpus(0.25, 0.0)
CORPORA = (CAPTIONS, Corpus(0.5, 0.0))
METRICS = [{"step": step, "kept_share": 1 - step / 100} for step in range(1, 21)]


def made_up(method, seed, r5, corpus=CAPTIONS, model="shared"):
    score = {"value": 0.5, "chance": 0.1, "untrained": 0.2}
    results = {
        "step": 9,
        "clips": 40,
        "retrieval": {name: dict(score) for group, name in SCORE_LABELS if group == "retrieval"},
        "probe": {name: dict(score) for group, name in SCORE_LABELS if group == "probe"},
    }
    results["retrieval"]["r5"] |= {"value": r5, "ceiling": 0.8}
    return row_of(Run(model, corpus, method, seed), results, {"train.steps": 9}, METRICS)


ROWS = [
    made_up(method, seed, r5)
    for method, scores in {"plain": (0.30, 0.35, 0.31), "both": (0.33, 0.36, 0.37)}.items()
    for seed, r5 in enumerate(scores)
]


def test_an_interval_is_student_s():
    values = np.random.default_rng(0).normal(size=7)
    mean, half = t_interval(values)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    np.testing.assert_allclose([mean - half, mean + half], [low, high])
    assert math.isnan(t_interval([1.0])[1])


def test_differences_are_paired_by_seed():
    found = paired_differences([*ROWS, made_up("both", 7, 0.9)], "retrieval.r5.value")
    assert found.keys() == {("shared", "captions25", "both")}
    np.testing.assert_allclose(found["shared", "captions25", "both"], [0.03, 0.01, 0.06])
    other = made_up("plain", 0, 0.1, corpus=Corpus(0.0, 0.0))
    assert paired_differences([other, made_up("both", 0, 0.2)], "retrieval.r5.value") == {}


def test_markdown_shows_mean_interval_and_references():
    text = to_markdown(ROWS)
    lines = text.splitlines()
    mean, half = t_interval([0.33, 0.36, 0.37])
    assert any(
        line.startswith(f"| captions25 | both | 3 | {mean:.3f} ± {half:.3f}") for line in lines
    )
    mean, half = t_interval([0.03, 0.01, 0.06])
    assert any(
        line.startswith(f"| captions25 | both | 3 | {mean:.3f} ± {half:.3f}") for line in lines
    )
    assert "| | ceiling | | 0.800 |  |  |  |  |" in lines
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_what_drops_at_random_is_compared_with():
    rows = [*ROWS, made_up("random", 0, 0.25), made_up("random", 2, 0.29)]
    found = paired_differences(rows, "retrieval.r5.value", "random")
    np.testing.assert_allclose(found["shared", "captions25", "both"], [0.08, 0.08])
    np.testing.assert_allclose(found["shared", "captions25", "plain"], [0.05, 0.02])
    text = to_markdown(rows)
    heading = "More than a quarter dropped at random (`random`) of the same seed"
    assert text.index("More than plain VATT of the same seed") < text.index(heading)
    assert "| captions25 | both | 2 | 0.080 ± 0.000 |" in text[text.index(heading) :]
    assert heading not in to_markdown(ROWS)


def test_the_untrained_model_has_a_row_for_each_corpus():
    """Its retrieval depends on the corpus, by its vocabulary."""
    rows = [made_up("plain", seed, 0.3, corpus) for seed in (0, 1) for corpus in CORPORA]
    for row, untrained in zip(rows, (0.1, 0.2, 0.1, 0.4), strict=True):
        row["retrieval.r5.untrained"] = untrained
    mean, half = t_interval([0.2, 0.4])
    text = to_markdown([*rows, made_up("both", 0, 0.3)])
    assert "| captions25 | untrained | 2 | 0.100 ± 0.000 |" in text
    assert f"| captions50 | untrained | 2 | {mean:.3f} ± {half:.3f} |" in text


def test_the_csv_holds_every_score_and_the_settings():
    rows = list(csv.DictReader(io.StringIO(to_csv(ROWS))))
    assert len(rows) == 6
    assert rows[0]["run"] == "shared-captions25-plain-seed0"
    assert float(rows[0]["retrieval.r5.ceiling"]) == 0.8
    assert json.loads(rows[0]["settings"]) == {"train.steps": 9}
    assert float(rows[0]["kept_share"]) == pytest.approx((0.81 + 0.80) / 2)  # of the last tenth


@pytest.mark.parametrize("number", [1, 6])
def test_the_page_has_a_picture_for_each_model(tmp_path, number):
    rows = [*ROWS[:number], made_up("plain", 0, 0.2, model="three_tower")]
    page = write_study_page(tmp_path, rows)
    for model in ("shared", "three_tower"):
        assert f"pictures/{model}.png" in page.read_text()
        assert (tmp_path / "pictures" / f"{model}.png").stat().st_size > 5000
