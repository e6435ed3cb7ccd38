"""Runs that start from a checkpoint of the original, or from another of our runs."""

import json
import shutil

import jax
import numpy as np
import pytest
from golden.golden_set import from_original, golden
from interop.by_name import extract
from tiny_run import assert_same_state

from vatt_gh.errors import UserError
from vatt_gh.evaluation.embedder import load
from vatt_gh.evaluation.scoring import evaluate_workdir
from vatt_gh.interop.names import model_names
from vatt_gh.models.vatt import build_vatt
from vatt_gh.training.construct import optimizer_of, zero_sample
from vatt_gh.training.initial import REPORT, start_from
from vatt_gh.training.loop import pretrain
from vatt_gh.training.step import create_state

KIND = "tx_fac"
TABLE = "towers/audio/tokens/positions/temporal/embedding"


@pytest.fixture
def original(tiny, tmp_path):
    """A configuration that starts from the golden checkpoint, at its sizes, on the tiny corpus."""
    return from_original(tiny.config(), KIND, tmp_path / "words.txt")


def test_a_run_starts_from_the_originals_checkpoint(original, tmp_path, capsys):
    config, workdir = original, tmp_path / "run"
    rows = config.model.audio.buckets
    config.model.audio.buckets = rows + 2  # this table must be stretched
    state = pretrain(config, workdir, stop_after=0)
    assert int(state.step) == 0
    variables = {"params": state.params, "batch_stats": state.statistics}
    names = model_names(variables)
    [table] = [n for n in names.values() if "aud_backbone" in n and "position_embeddings" in n]
    loaded = extract(variables, names)
    expected = golden(f"model_{KIND}").part("w")
    assert loaded.pop(table).shape[0] == rows + 2
    for name, value in loaded.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    report = json.loads((workdir / REPORT).read_text())
    assert report["stretched"] == [table] and report["unused"] == report["missing"] == []
    assert sorted(report["used"]) == sorted(names.values())
    screen = capsys.readouterr().out
    assert f"Start: {len(names)} variables of {config.init_from}" in screen and table in screen


def test_the_originals_checkpoint_is_scored_and_embeds_as_it_is(original, tmp_path):
    config, workdir = original, tmp_path / "run"
    results = evaluate_workdir(config, workdir)
    assert results["step"] == 0 and results["retrieval"]["r1"].keys() >= {"value", "untrained"}
    assert "none that is logged yet" in (workdir / "index.html").read_text()
    embedder = load(workdir, config)
    expected = golden(f"model_{KIND}").part("w")
    params, statistics = jax.device_get(embedder.weights)
    variables = {"params": params, "batch_stats": statistics}
    for name, value in extract(variables, model_names(variables)).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert np.isfinite(embedder.embed_text(["w1 w2", "w3"])).all()
    config.data.vocabulary = ""
    with pytest.raises(UserError, match="vocabulary of the checkpoint is not given"):
        load(tmp_path / "other", config)


def test_a_run_that_is_continued_does_not_start_again(tiny, whole, tmp_path):
    run, last = whole
    shutil.copytree(run, tmp_path / "run")
    config = tiny.config(**{"init_from": "tf:nowhere"})
    state = pretrain(config, tmp_path / "run", stop_after=int(last.step))
    assert_same_state(state, last)
    assert not (tmp_path / "run" / REPORT).exists()


def test_another_vocabulary_than_the_checkpoints_is_refused(original, tmp_path):
    rows = golden(f"model_{KIND}").config["text"]["vocab_size"]
    config = original
    config.data.vocabulary = ""  # built from the captions, with other words
    with pytest.raises(UserError, match=r"config\.data\.vocabulary=FILE") as error:
        pretrain(config, tmp_path / "run", stop_after=0)
    assert f"a file of {rows} words" in str(error.value)


def state_of(config, words):
    model = build_vatt(config, words=len(words), audio_rate=config.data.build_audio_rate)
    optimizer = optimizer_of(config.train)
    return create_state(model, optimizer, zero_sample(config.data), config.seed + 1)


def words_of(workdir):
    return (workdir / "vocabulary.txt").read_text().splitlines()


def test_a_run_starts_from_another_run(tiny, whole, tmp_path, capsys):
    run, last = whole
    words = words_of(run)
    config = tiny.config(**{"init_from": f"orbax:{run}"})
    drawn = state_of(config, words)
    state = start_from(drawn, words, config, tmp_path)
    jax.tree.map(np.testing.assert_array_equal, state.params, last.params)
    jax.tree.map(np.testing.assert_array_equal, state.statistics, last.statistics)
    jax.tree.map(np.testing.assert_array_equal, state.opt_state, drawn.opt_state)
    assert int(state.step) == 0 < int(last.step)
    report = json.loads((tmp_path / REPORT).read_text())
    assert len(report["used"]) == len(jax.tree.leaves((last.params, last.statistics)))
    assert "Start:" in capsys.readouterr().out


def test_sizes_and_words_must_be_those_of_the_other_run(tiny, whole, tmp_path):
    run, last = whole
    words = words_of(run)
    config = tiny.config(**{"init_from": f"orbax:{run}"})
    with pytest.raises(UserError, match="another vocabulary") as error:
        start_from(state_of(config, words), [*words[:-1], "other"], config, tmp_path)
    assert f"--config.data.vocabulary={run / 'vocabulary.txt'}" in str(error.value)
    width = last.params["heads"]["text_to_video"]["bias"].size + 3
    config.model.head.d_video_text = width
    with pytest.raises(UserError, match="params/heads/audio_to_text/dense/kernel") as error:
        start_from(state_of(config, words), words, config, tmp_path)
    rows = config.model.head.d_video_audio
    for shape in ((rows, width - 3), (rows, width)):
        assert str(shape) in str(error.value)
    config = tiny.config(**{"init_from": f"orbax:{tmp_path}"})
    with pytest.raises(UserError, match="no checkpoint to start from"):
        start_from(state_of(config, words), words, config, tmp_path)


def test_a_run_of_another_depth_is_taken_in_part_only_when_asked(tiny, whole, tmp_path):
    run, last = whole
    words = words_of(run)
    config = tiny.config(**{"init_from": f"orbax:{run}", "model.audio.buckets": 60})
    config.model.video.layers += 1
    drawn = state_of(config, words)
    with pytest.raises(UserError, match="other parts"):
        start_from(drawn, words, config, tmp_path)
    config.init_partial = True
    state = start_from(drawn, words, config, tmp_path)
    report = json.loads((tmp_path / REPORT).read_text())
    new = f"layer_{config.model.video.layers - 1}"
    assert report["missing"] and all(f"/{new}/" in name for name in report["missing"])
    assert report["stretched"] == [f"params/{TABLE}"]
    encoder = state.params["towers"]["video"]["encoder"]
    own = drawn.params["towers"]["video"]["encoder"][new]
    jax.tree.map(np.testing.assert_array_equal, encoder[new], own)
    theirs = last.params["towers"]["video"]["encoder"]["layer_0"]
    jax.tree.map(np.testing.assert_array_equal, encoder["layer_0"], theirs)
