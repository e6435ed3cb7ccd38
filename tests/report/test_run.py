"""The report of a run: its pictures, depending on the available files."""

import json

import numpy as np
import pytest
from made_up_runs import make_rows

from vatt_gh.errors import UserError
from vatt_gh.report.run import areas_by_quarter, write_report

SAMPLES = [
    {
        "step": step,
        "video_id": ["a", "b"],
        "start": [0.0, 1.0],
        "end": [1.0, 2.0],
        "cosine": [0.1 * step, None],
        "weight": [1.0, 1.0],
    }
    for step in range(1, 5)
]


@pytest.mark.parametrize("samples", [True, False])
def test_a_page_goes_without_what_was_not_logged(tmp_path, samples):
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in _metrics()))
    if samples:
        (tmp_path / "samples.jsonl").write_text("".join(json.dumps(r) + "\n" for r in SAMPLES))
    page = write_report(tmp_path, aligned=lambda video, start, end: (video == "a", True))
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert ("cosines_by_truth.png" in drawn) == samples
    assert ("cosines_by_truth.png" in page.read_text()) == samples
    assert {"cosines.png", "curriculum.png", "losses.png"} <= drawn


def test_areas_are_of_pairs_that_are_ordered_rightly():
    """Against counting pairs; samples that are wrong in the other way are left out."""
    rng = np.random.default_rng(0)
    truth = {f"v{n}": (n % 3 != 0, n % 4 != 1) for n in range(40)}  # sound, caption
    rows = [
        {
            "video_id": list(truth),
            "start": [0.0] * 40,
            "end": [1.0] * 40,
            "cosine": [None if n == 7 else float(x) for n, x in enumerate(rng.normal(size=40))],
        }
        for _ in range(4)
    ]
    found = areas_by_quarter(rows, lambda video, start, end: truth[video])
    for quarter, row in enumerate(rows):
        of = {v: c for v, c in zip(row["video_id"], row["cosine"], strict=True) if c is not None}
        right = [of[v] for v, both in truth.items() if both == (True, True) and v in of]
        for name, wrong in (("captions", (True, False)), ("sounds", (False, True))):
            others = [of[v] for v, both in truth.items() if both == wrong and v in of]
            share = np.mean([a > b for a in right for b in others])
            assert found[name][quarter] == pytest.approx(share)
    alone = areas_by_quarter(rows, lambda video, start, end: (True, True))
    assert np.isnan(alone["captions"]).all() and len(alone["sounds"]) == 4


def _metrics():
    return [row | {"samples_per_second": 9.0, "data_wait_share": 0.1} for row in make_rows(5)]


@pytest.mark.parametrize("skipped", [[1, 4], [0, 1, 2, 3, 4]])
def test_steps_that_were_left_out_are_gaps(tmp_path, skipped):
    """The last one among them: the page has the loss of the step before, or none."""
    measured = ("step", "samples_per_second", "data_wait_share")
    rows = [
        {name: x if name in measured else None for name, x in row.items()} if n in skipped else row
        for n, row in enumerate(_metrics())
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    page = write_report(tmp_path).read_text()
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert {"losses.png"} <= drawn and ("cosines.png" in drawn) == (len(skipped) < 5)
    assert str(rows[-1]["step"]) in page
    assert len(skipped) == 5 or f"{rows[3]['loss']:.3f}" in page


def test_a_checkpoint_from_elsewhere_has_a_page_too(tmp_path):
    (tmp_path / "results.json").write_text('{"retrieval": {"r1": {"value": 0.5}}}')
    page = write_report(tmp_path).read_text()
    assert "r1" in page and "none that is logged yet" in page
    (tmp_path / "metrics.jsonl").write_text("")
    assert "none that is logged yet" in write_report(tmp_path).read_text()


def test_a_run_that_compares_nothing_and_drops_nothing_has_no_empty_pictures(tmp_path):
    """The page of plain VATT, and that of a fine-tuning, whose rows have neither."""
    nothing = {"cosine_histogram": [0] * 40, "kept_share": 1.0}
    for number, rows in enumerate(
        (
            [row | nothing for row in _metrics()],
            [{k: x for k, x in row.items() if k not in nothing} for row in _metrics()],
        )
    ):
        workdir = tmp_path / str(number)
        workdir.mkdir()
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        page = write_report(workdir, aligned=lambda *window: (True, True)).read_text()
        assert [path.name for path in (workdir / "pictures").iterdir()] == ["losses.png"]
        assert "nan" not in page and "losses.png" in page


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_a_broken_results_file_is_named(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(UserError) as error:
        write_report(tmp_path)
    assert error.value.where == str(tmp_path / "results.json")
