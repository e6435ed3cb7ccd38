"""Every downstream set, whole: from tiny media and a checkpoint to results.json and the page."""

import json

import numpy as np
import pytest
from dummy_data import make_measurable
from evaluation.set_scores import link_run, score_set
from golden.golden_set import from_original
from tiny_run import (
    DEFAULTS,
    prepared,
    rows_of,
    run_in_two,
    session_folder,
    uninterrupted,
)

from tfds_builders.build import build_for
from vatt_gh.config.checks import validate
from vatt_gh.errors import UserError
from vatt_gh.evaluation.protocols import PROTOCOLS
from vatt_gh.evaluation.scoring import evaluate_workdir, held_out_source
from vatt_gh.training.loop import pretrain

SOME = ("audioset", "youcook2")  # which take the least time
EACH = (*SOME, "hmdb51", "esc50")  # every evaluator, in every modality


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return session_folder(tmp_path_factory)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Makes the media of a set once; returns the keys that read them."""
    folder = tmp_path_factory.mktemp("sets")

    def keys(name):
        manual = folder / name
        if not manual.exists():
            make_measurable(name, manual)
        return {
            "mode": "evaluate",
            "data.builder": name,
            "data.manual_dir": str(manual),
            "data.data_dir": str(folder / "records"),
            "data.split": "train",
            "eval.batch_size": 5,
            "eval.windows": 2,
        }

    return keys


def scored(config, workdir, name):
    validate(config, devices=4, hosts=1)
    return score_set(config, workdir, name)


@pytest.mark.parametrize(
    ("name", "kind"), [*((n, "tx_fac") for n in PROTOCOLS), *((n, "ut_fac") for n in EACH)]
)
def test_every_set_is_scored_from_the_originals_checkpoint(session, sets, tmp_path, name, kind):
    config = prepared(session).config(**sets(name))
    from_original(config, kind, tmp_path / "words.txt")
    assert scored(config, tmp_path, name)["step"] == 0


@pytest.mark.parametrize("start", ["tf", "orbax"])
def test_sound_of_another_rate_is_refused(session, sets, tmp_path, start):
    tiny = prepared(session)
    other = {"data.build_audio_rate": 12_000, "data.data_dir": str(tmp_path / "other")}
    config = tiny.config(**(sets("audioset") | other))
    from_original(config, "tx_fac", tmp_path / "words.txt")
    if start == "orbax":
        config.init_from = f"orbax:{uninterrupted(session)[0]}"
    held_out_source(config, tmp_path, build_for)
    if start == "tf":
        config.data.build_audio_rate = 8000  # what the checkpoint is said to have heard
    with pytest.raises(UserError, match=r"has 12000 samples a second; the checkpoint .* has 8000"):
        evaluate_workdir(config, tmp_path, build=build_for)


@pytest.mark.parametrize("kind", ["three_tower", "shared"])
def test_audioset_is_mixed_into_pre_training(session, sets, tmp_path, kind):
    """As VATT was trained: sound and pictures, without a word."""
    tiny = prepared(session)
    audioset = tiny.config(**sets("audioset"))
    (records,) = held_out_source(audioset, tmp_path, build_for).directories
    also = (f"audioset/eval={records.parents[2]}",)
    config = tiny.config(**{"model.kind": kind, "data.also": also})
    pretrain(config, tmp_path / "run", stop_after=2)
    rows = rows_of(tmp_path / "run" / "samples.jsonl")
    ids = [set(row["video_id"]) for row in rows]
    own = {path.stem for path in (tiny.corpus / "videos").iterdir()}
    assert len(rows) == 2 and all(found & own and found - own for found in ids)
    [last] = rows_of(tmp_path / "run" / "metrics.jsonl")
    assert np.isfinite([last["loss_va"], last["loss_vt"]]).all()


def of_ours(session, workdir):
    """Makes a work directory with a run of ours; returns its last step."""
    run, state = uninterrupted(session)
    link_run(run, workdir)
    return int(state.step)


@pytest.mark.parametrize("name", SOME)
def test_some_are_scored_from_a_run_of_ours(session, sets, tmp_path, name):
    step = of_ours(session, tmp_path)
    config = prepared(session).config(**sets(name))
    assert scored(config, tmp_path, name)["step"] == step


@pytest.mark.parametrize("name", [*SOME, "esc50"])
def test_two_processes_of_one_device_score_as_one_of_four(session, sets, tmp_path, name):
    tiny, keys = prepared(session), sets(name)
    of_ours(session, tmp_path)
    config = tiny.config("howto100m", **DEFAULTS, **keys)
    expected = evaluate_workdir(config, tmp_path, build=build_for)
    path = tmp_path / f"results_{name}.json"
    path.unlink()
    run_in_two(config, tmp_path)
    found = json.loads(path.read_text())
    evaluator = PROTOCOLS[name].evaluator
    for score, numbers in expected.pop(evaluator).items():
        assert found[evaluator][score] == pytest.approx(numbers, rel=1e-3), score
    del found[evaluator]
    assert found == expected
