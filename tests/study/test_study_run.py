"""A tiny study, whole and interrupted."""

import csv
import io
import json
import shutil

import pytest

from tfds_builders.build import build_for
from vatt_gh.errors import UserError
from vatt_gh.report.jsonl import METRICS
from vatt_gh.study import detection
from vatt_gh.study import run as study_run
from vatt_gh.study.plan import runs_of

DEMO = {"videos": 4, "heldout_videos": 5, "min_seconds": 9.0, "max_seconds": 12.0}


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.fixture(scope="module", autouse=True)
def one_place():
    """Every place needs another compiled program; test_detection.py has them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            detection, "COSINES", tuple(c for c in detection.COSINES if c[0] == "features")
        )
        yield


@pytest.fixture(scope="module")
def config(tiny):
    return tiny.config(
        **{f"demo.{key}": value for key, value in DEMO.items()},
        **{
            "data.keep_windows": True,
            "data.windows_per_segment": 4,
            "study.seeds": (3,),
            "study.models": ("three_tower",),
            "study.methods": ("both",),
            "study.noise": (0.25,),
            "study.only": "*captions25*",
            "study.signal_windows": 8,
            "study.signal_visits": 2,
            "train.checkpoint_every": 6,
            "train.keep_checkpoints": 4,
        },
    )


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    study_run.run_study(config, workdir, build_for)
    return workdir


def test_it_has_a_row_for_every_run_and_the_rest_of_the_tables(config, whole):
    rows = table(whole / "study.csv")
    assert [row["run"] for row in rows] == [run.name for run in runs_of(config.study)]
    for row in rows:
        results = json.loads((whole / "runs" / row["run"] / "results.json").read_text())
        assert float(row["retrieval.r5.value"]) == results["retrieval"]["r5"]["value"]
        own = json.loads((whole / "runs" / row["run"] / "config.json").read_text())
        assert own["harmonize.realign"] and own["harmonize.curriculum"]  # both
        assert own["seed"] == int(row["seed"])
        assert json.loads(row["settings"])["train.learning_rates"] == [1e-2, 1e-3]
        assert str(whole) not in row["settings"]
    assert (whole / "index.html").exists() and (whole / "study.md").exists()
    areas = table(whole / "signals.csv")
    assert {(row["step"], row["planted"], row["visits"]) for row in areas} == {
        (step, "captions", visits) for step in ("0", "6", "12", "13") for visits in "12"
    }
    assert {row["signal"] for row in areas} >= {"cosine features anchor", "similarity text"}
    # Nothing else was rendered, built or decoded.
    assert sorted(path.name for path in (whole / "corpus").iterdir()) == ["captions25", "heldout"]
    assert len(list((whole / "records" / "captions25").glob("*/*/*/windows-*"))) == 1


def test_a_run_that_would_silently_be_another_is_refused(config, tmp_path):
    """With one loss nothing can be realigned: `both` would be plain VATT."""
    one = config.copy_and_resolve_references()
    one.loss.video_text_weight = 0.0
    with pytest.raises(UserError) as error:
        study_run.run_study(one, tmp_path, build_for)
    assert error.value.where == "config.harmonize.realign"
    assert not (tmp_path / "runs").exists()


def test_interrupted_and_resumed_it_has_the_same_rows(config, whole, tmp_path, monkeypatch):
    for name in ("corpus", "records"):
        shutil.copytree(whole / name, tmp_path / name)
    pretrain = study_run.pretrain

    def interrupted(config, folder, scoring):
        pretrain(config, folder, stop_after=8)
        raise KeyboardInterrupt

    monkeypatch.setattr(study_run, "pretrain", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study_run.run_study(config, tmp_path, build_for)
    assert not (tmp_path / "study.csv").exists()
    monkeypatch.setattr(study_run, "pretrain", pretrain)
    study_run.run_study(config, tmp_path, build_for)
    for name in ("study.csv", "signals.csv"):
        assert table(tmp_path / name) == table(whole / name)


def test_signals_that_are_asked_for_later_are_measured_without_training_again(
    config, whole, tmp_path, monkeypatch, capsys
):
    shutil.copytree(whole, tmp_path / "study", symlinks=True)
    for path in (tmp_path / "study").rglob("signals.*"):
        path.unlink()
    monkeypatch.setattr(study_run, "pretrain", None)  # would be an error to call
    study_run.run_study(config, tmp_path / "study", build_for)
    for name in ("study.csv", "signals.csv"):
        assert table(tmp_path / "study" / name) == table(whole / name)
    [path] = (tmp_path / "study").rglob("signals.json")
    earlier = [row for row in json.loads(path.read_text()) if row["step"]]
    path.write_text(json.dumps(earlier))  # without the model before training
    study_run.run_study(config, tmp_path / "study", build_for)
    assert table(tmp_path / "study" / "signals.csv") == table(whole / "signals.csv")
    path.unlink()
    shutil.rmtree(path.parent / "checkpoints")
    study_run.run_study(config, tmp_path / "study", build_for)
    assert "no checkpoint is left" in capsys.readouterr().out


def test_a_row_and_the_defaults_are_the_whole_configuration(config, whole):
    defaults = json.loads((whole / study_run.DEFAULTS).read_text())
    for row in table(whole / "study.csv"):
        stored = json.loads((whole / "runs" / row["run"] / "config.json").read_text())
        found = defaults | json.loads(row["settings"])
        assert found.keys() == stored.keys()
        differing = {key for key, value in stored.items() if found[key] != value}
        assert differing <= set(study_run._NO_SETTINGS)


def test_signals_of_what_is_not_planted_are_left_out(config, tmp_path):
    """Earlier versions measured captions in a corpus whose sounds alone are wrong."""
    (run,) = runs_of(config.study)
    folder = tmp_path / "runs" / run.name
    folder.mkdir(parents=True)
    rows = [{"step": 6, "planted": planted, "auc": 0.5} for planted in ("captions", "sounds")]
    (folder / "signals.json").write_text(json.dumps(rows))
    assert [row["planted"] for row in study_run._signals(tmp_path, [run])] == ["captions"]


@pytest.mark.parametrize("name", ["results.json", "config.json", "signals.json"])
def test_a_broken_file_of_a_run_is_named(config, whole, tmp_path, name):
    run = next(path.parent for path in sorted(whole.glob("runs/*/results.json")))
    copy = tmp_path / "runs" / run.name
    copy.mkdir(parents=True)
    for file in ("results.json", "config.json", "signals.json", METRICS):
        (copy / file).write_bytes((run / file).read_bytes())
    (copy / name).write_text('{"half": ')
    with pytest.raises(UserError, match=f"{name} cannot be read"):
        study_run._write_tables(tmp_path)


def test_what_is_done_is_not_done_again_and_what_is_claimed_is_left(config, whole, monkeypatch):
    monkeypatch.setattr(study_run, "pretrain", None)  # would be an error to call
    before = (whole / "study.csv").read_text()
    study_run.run_study(config, whole, build_for)
    other = config.copy_and_resolve_references()
    other.study.seeds = (4,)
    (run,) = runs_of(other.study)
    with study_run.claimed(whole / "runs" / f"{run.name}.lock") as mine:
        assert mine
        study_run.run_study(other, whole, build_for)
    assert (whole / "study.csv").read_text() == before, "what was not asked for stays in the table"


def test_runs_of_other_settings_are_not_compared(config, whole):
    other = config.copy_and_resolve_references()
    other.train.learning_rates = (1e-2, 2e-3)
    with pytest.raises(UserError, match="another configuration"):
        study_run.run_study(other, whole, build_for)
