"""The report of a run: its pictures, depending on the available files."""

import json

import pytest
from made_up_runs import make_rows

from vatt_gh.report.run import write_report

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


def _metrics():
    return [row | {"samples_per_second": 9.0, "data_wait_share": 0.1} for row in make_rows(5)]
