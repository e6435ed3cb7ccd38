"""The pictures: drawn for any data, at the right size, and showing the given data."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from made_up_runs import make_clip, make_examples, make_groups, make_rows

from vatt_gh.errors import UserError
from vatt_gh.report import plots
from vatt_gh.report.examples import RetrievalExample, retrieval_examples

ROW_PLOTS = [plots.loss_curves, plots.cosine_over_time, plots.curriculum, plots.cost_in_signal]


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return make_rows(60)


@pytest.fixture
def groups() -> dict[str, np.ndarray]:
    return make_groups(300)


def draw(function, data, path) -> np.ndarray:
    """Draws and returns the picture's pixels, float32 [height, width, 4] in 0..1."""
    function(data, path)
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[1] == 1000
    assert pixels.std() > 0.01  # not one plain colour
    return pixels


def differ(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape != second.shape or bool((first != second).any())


@pytest.mark.parametrize("function", ROW_PLOTS)
def test_row_plots_show_the_data(function, rows, tmp_path):
    first = draw(function, rows, tmp_path / "new" / "a.png")
    again = draw(function, rows, tmp_path / "new" / "b.png")
    other = draw(function, make_rows(60, seed=1), tmp_path / "new" / "c.png")
    assert not differ(first, again)
    assert differ(first, other)


def test_the_curriculum_shows_a_share_where_there_is_no_threshold(rows, tmp_path):
    neither = [{k: v for k, v in row.items() if k != "gamma"} for row in rows]
    shares = [row | {"drop_share": 0.01 * k} for k, row in enumerate(neither)]
    first = draw(plots.curriculum, shares, tmp_path / "share.png")
    assert differ(first, draw(plots.curriculum, neither, tmp_path / "neither.png"))
    assert differ(first, draw(plots.curriculum, rows, tmp_path / "gamma.png"))


def test_losses_show_plain_vatt_beside(rows, tmp_path):
    alone = draw(plots.loss_curves, rows, tmp_path / "alone.png")
    plain = make_rows(60, seed=1)
    plots.loss_curves(rows, tmp_path / "both.png", plain)
    assert differ(alone, matplotlib.image.imread(tmp_path / "both.png"))


def test_a_third_loss_is_a_third_line(rows, tmp_path):
    two = draw(plots.loss_curves, rows, tmp_path / "two.png")
    third = [row | {"loss_at": 3.0} for row in rows]
    assert differ(two, draw(plots.loss_curves, third, tmp_path / "three.png"))


def test_scores_of_the_rows_that_have_them(rows, tmp_path):
    none = draw(plots.scores_over_time, rows, tmp_path / "none.png")
    scored = [
        row | ({"eval.retrieval.r5": n / 60, "eval.retrieval.median_rank": 9.0} if n % 6 else {})
        for n, row in enumerate(rows)
    ]
    some = draw(plots.scores_over_time, scored, tmp_path / "some.png")
    assert differ(none, some)
    without = [{k: x for k, x in row.items() if "median_rank" not in k} for row in scored]
    assert not differ(some, draw(plots.scores_over_time, without, tmp_path / "shares.png"))


@pytest.mark.parametrize("function", ROW_PLOTS)
def test_row_plots_draw_one_row_and_none(function, tmp_path):
    one = draw(function, make_rows(1), tmp_path / "one.png")
    none = draw(function, [], tmp_path / "none.png")
    assert differ(one, none)


@pytest.mark.parametrize("function", ROW_PLOTS)
def test_row_plots_leave_gaps_for_null_and_missing_values(function, rows, tmp_path):
    whole = draw(function, rows, tmp_path / "whole.png")
    gaps = [
        {"step": row["step"]}
        if index % 2
        else dict.fromkeys(row, None) | {"step": row["step"], "loss": 1.0, "kept_share": 1.0}
        for index, row in enumerate(rows)
    ]
    assert differ(whole, draw(function, rows[:20] + gaps[20:40] + rows[40:], tmp_path / "gap.png"))
    draw(function, gaps, tmp_path / "only_gaps.png")


@pytest.mark.parametrize("function", ROW_PLOTS)
def test_repeated_steps_of_a_resumed_run_replace_the_first_ones(function, rows, tmp_path):
    lost = [row | {"step": row["step"] + 400} for row in make_rows(10, seed=5)]
    resumed = draw(function, rows[:40] + lost + rows[40:], tmp_path / "resumed.png")
    assert not differ(resumed, draw(function, rows, tmp_path / "whole.png"))


def test_heatmap_columns_are_normalised(rows, tmp_path):
    doubled = [
        row | {"cosine_histogram": [2 * count for count in row["cosine_histogram"]]} for row in rows
    ]
    first = draw(plots.cosine_over_time, rows, tmp_path / "a.png")
    assert not differ(first, draw(plots.cosine_over_time, doubled, tmp_path / "b.png"))


def test_heatmap_draws_gamma_over_the_cosines(rows, tmp_path):
    off = [row | {"gamma": None} for row in rows]
    first = draw(plots.cosine_over_time, rows, tmp_path / "a.png")
    assert differ(first, draw(plots.cosine_over_time, off, tmp_path / "b.png"))


def test_heatmap_refuses_histograms_of_different_bins(rows, tmp_path):
    rows[3]["cosine_histogram"] = [1] * 20
    with pytest.raises(UserError, match="cosine_histogram of step 40"):
        plots.cosine_over_time(rows, tmp_path / "a.png")


def test_truth_plot_shows_the_groups(groups, tmp_path):
    first = draw(plots.cosine_by_truth, groups, tmp_path / "a.png")
    other = draw(plots.cosine_by_truth, make_groups(300, seed=1), tmp_path / "b.png")
    assert differ(first, other)


def test_truth_plot_says_which_groups_are_empty(groups, tmp_path):
    full = draw(plots.cosine_by_truth, groups, tmp_path / "full.png")
    named = groups | {"sound wrong": np.zeros(0), "both $wrong": np.full(4, np.nan)}
    some = draw(plots.cosine_by_truth, named, tmp_path / "some.png")
    empty = draw(plots.cosine_by_truth, dict.fromkeys(groups, np.zeros(0)), tmp_path / "empty.png")
    assert differ(full, some)
    assert differ(some, empty)
    draw(plots.cosine_by_truth, {}, tmp_path / "none.png")


def green(pixels: np.ndarray) -> np.ndarray:
    """Marks the pixels of a true clip's frame, bool [height, width]."""
    return np.abs(pixels[..., :3] * 255 - (0x2A, 0x8C, 0x4A)).max(axis=-1) < 1


def test_retrieval_frames_the_true_clip_where_it_stands(tmp_path):
    pixels = draw(retrieval_examples, make_examples(2, clips=3), tmp_path / "a.png")
    height = pixels.shape[0]
    columns = [
        np.flatnonzero(part.sum(axis=0) > 30) for part in np.split(green(pixels), [height // 2])
    ]
    assert columns[0].max() < 1000 / 3  # first query: true clip first of three
    assert 1000 / 3 - 5 < columns[1].min() < columns[1].max() < 2000 / 3 + 5


def test_retrieval_draws_any_text_and_any_clips(tmp_path):
    strange = RetrievalExample(
        query="a $5 _mix\n of 日本語 and <words> " * 20,
        rank=173,
        clips=[make_clip(1, frames=1), make_clip(2, frames=2, height=48, width=112)],
        correct=[False, False],
    )
    lonely = RetrievalExample(query="nothing", rank=1, clips=[], correct=[])
    both = draw(retrieval_examples, [strange, lonely], tmp_path / "a.png")
    assert not green(both).any()
    assert differ(both, draw(retrieval_examples, [strange, strange], tmp_path / "b.png"))
    draw(retrieval_examples, [lonely], tmp_path / "lonely.png")
    draw(retrieval_examples, [], tmp_path / "none.png")


def test_retrieval_shows_query_rank_and_frames(tmp_path):
    (example,) = make_examples(1, clips=2)
    variants = [
        example,
        replace(example, query="another query"),
        replace(example, rank=7),
        replace(example, clips=[example.clips[0], example.clips[0]]),
    ]
    pictures = [
        draw(retrieval_examples, [variant], tmp_path / f"{index}.png")
        for index, variant in enumerate(variants)
    ]
    assert all(differ(pictures[0], picture) for picture in pictures[1:])


def test_drawing_needs_neither_pyplot_nor_the_rest_of_the_package():
    program = (
        "import sys\n"
        "from vatt_gh.report import examples, jsonl, page, plots\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), "
        "*(name for name in sys.modules if name.startswith(('vatt_gh', 'matplotlib.pyplot'))))"
    )
    root = Path(plots.__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    names = set(answer.stdout.split())
    assert not {"jax", "tensorflow", "matplotlib.pyplot"} & names
    own = {name for name in names if name.startswith("vatt_gh.")}
    others = {name for name in own if not name.startswith("vatt_gh.report")}
    assert others == {"vatt_gh.errors", "vatt_gh.files", "vatt_gh.loss_terms"}
