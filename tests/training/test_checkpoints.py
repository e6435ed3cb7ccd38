"""Checkpoints and claims of a work directory, with a state of a few numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_config
from tiny_run import assert_same_state, checkpoints_of

from vatt_gh.config import FREE_KEYS, PAPER, default
from vatt_gh.errors import UserError
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.claims import claim_workdir, first_start
from vatt_gh.training.construct import optimizer_of
from vatt_gh.training.parallel import replicate
from vatt_gh.training.step import TrainState


def nothing():
    """Opens nothing."""


def another(value):
    """A value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return "elsewhere" if isinstance(value, str) else (*value, *value)


def state_of(step: int, **params) -> TrainState:
    params = {"towers": {"w": np.arange(6, dtype=np.float32) + step}, **params}
    state = TrainState(
        step=jnp.int32(step),
        params=params,
        statistics={"mean": jnp.full(3, 0.1 * step)},
        opt_state=optimizer_of(default().train).init(params),
        key=jax.random.key_data(jax.random.key(7)),
        empty_steps=jnp.int32(1),
    )
    return replicate(state)


def test_restores_the_newest_or_the_one_asked_for(tmp_path):
    config = small_config(**{"train.keep_checkpoints": 2})
    with Checkpoints(tmp_path, config.train) as checkpoints:
        assert checkpoints.latest() is None
        for step in (1, 2, 3):
            checkpoints.save(state_of(step), position=8 * step)
    assert checkpoints_of(tmp_path) == [2, 3]
    with Checkpoints(tmp_path, config.train) as checkpoints:
        assert checkpoints.latest() == 3
        state, position = checkpoints.restore(state_of(0))
        assert_same_state(state, state_of(3))
        assert position == 24
        assert state.params["towers"]["w"].sharding == state_of(0).params["towers"]["w"].sharding
        older, position = checkpoints.restore(state_of(0), step=2)
        assert_same_state(older, state_of(2))
        assert position == 16


def test_checkpoint_of_the_same_step_is_left_as_it_is(tmp_path):
    with Checkpoints(tmp_path, small_config().train) as checkpoints:
        checkpoints.save(state_of(3), position=24)
        checkpoints.save(state_of(3).replace(empty_steps=jnp.int32(9)), position=99)
        state, position = checkpoints.restore(state_of(0))
    assert int(state.empty_steps) == 1 and position == 24


def test_a_step_that_the_first_host_sees_is_saved_by_none(tmp_path, monkeypatch):
    """A host that does not see it would wait for the others in the middle of a save."""
    with Checkpoints(tmp_path, small_config().train) as checkpoints:
        with monkeypatch.context() as first:
            first.setattr("vatt_gh.training.checkpoints.from_first_host", lambda mine: [3])
            checkpoints.save(state_of(3), position=24)
        assert checkpoints.latest() is None
        checkpoints.save(state_of(3), position=24)
    assert checkpoints_of(tmp_path) == [3]


def test_relative_work_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Checkpoints("run", small_config().train) as checkpoints:
        checkpoints.save(state_of(3), position=24)
    assert checkpoints_of(tmp_path / "run") == [3]


KILLED = """
import os, sys
from pathlib import Path
from small import small_config
from test_checkpoints import state_of
from vatt_gh.training.checkpoints import Checkpoints
with Checkpoints(Path(sys.argv[1]), small_config().train) as checkpoints:
    os.rename = lambda *names: os._exit(9)  # which completes a checkpoint
    checkpoints.save(state_of(5), position=40)
"""


def test_what_a_killed_save_leaves_is_removed_by_the_owner_alone(tmp_path):
    train = small_config().train
    with Checkpoints(tmp_path, train, owned=True) as checkpoints:
        checkpoints.save(state_of(3), position=24)
    here = Path(__file__).parent
    folders = os.pathsep.join(map(str, (here, here.parent, here.parents[1])))
    child = [sys.executable, "-c", KILLED, tmp_path]
    assert subprocess.run(child, env=os.environ | {"PYTHONPATH": folders}).returncode == 9
    [left] = (tmp_path / "checkpoints").glob("5?*")
    with Checkpoints(tmp_path, train) as checkpoints:  # a score beside the training
        assert int(checkpoints.restore(state_of(0))[0].step) == 3
    assert left.exists()
    with Checkpoints(tmp_path, train, owned=True) as checkpoints:
        assert int(checkpoints.restore(state_of(0))[0].step) == 3
        checkpoints.save(state_of(4), position=32)
    assert not left.exists() and checkpoints_of(tmp_path) == [3, 4]


def test_no_checkpoint_is_a_user_error(tmp_path):
    with (
        Checkpoints(tmp_path, small_config().train) as checkpoints,
        pytest.raises(UserError, match="There is no checkpoint"),
    ):
        checkpoints.restore(state_of(0))


def longer(step):
    return state_of(step, towers={"w": np.zeros(7, np.float32)})


def with_another(step):
    return state_of(step, heads={"b": np.zeros(2, np.float32)})


def renamed(step):
    return state_of(step, towers={"v": np.zeros(6, np.float32)})


@pytest.mark.parametrize(
    ("saved", "wanted"),
    [
        (state_of, longer),
        (longer, state_of),
        (state_of, with_another),
        (with_another, state_of),
        (state_of, renamed),
    ],
)
def test_checkpoint_of_another_model_is_a_user_error(tmp_path, saved, wanted):
    with Checkpoints(tmp_path, small_config().train) as checkpoints:
        checkpoints.save(saved(4), position=32)
    with (
        Checkpoints(tmp_path, small_config().train) as checkpoints,
        pytest.raises(UserError) as error,
    ):
        checkpoints.restore(wanted(0))
    assert "The checkpoint of step 4 does not fit this model" in error.value.what
    assert error.value.where == str(tmp_path / "checkpoints")


def test_other_records_are_refused(tmp_path):
    config = small_config()
    with Checkpoints(tmp_path, config.train, [9, 4]) as checkpoints:
        checkpoints.save(state_of(1), position=8)
    what = r"have \[9, 5\] records; they had \[9, 4\] at step 1"
    with (
        Checkpoints(tmp_path, config.train, [9, 5]) as checkpoints,
        pytest.raises(UserError, match=what),
    ):
        checkpoints.restore(state_of(0))
    for records in ([9, 4], []):  # [] for an evaluation, which has no position to continue from
        with Checkpoints(tmp_path, config.train, records) as checkpoints:
            state, position = checkpoints.restore(state_of(0))
            assert position == 8
            assert_same_state(state, state_of(1))


def test_another_vocabulary_is_refused_and_none_says_nothing(tmp_path):
    config = small_config()
    words = tmp_path / "vocabulary.txt"
    words.write_text("stir\npour\n")
    with Checkpoints(tmp_path, config.train) as checkpoints:
        checkpoints.save(replicate(state_of(3)), position=24)
    words.write_text("pour\nstir\n")
    with Checkpoints(tmp_path, config.train) as checkpoints:
        with pytest.raises(UserError, match="not the one that step 3 was trained with") as caught:
            checkpoints.restore(replicate(state_of(0)))
        assert caught.value.where == str(words)
        words.write_text("stir\npour\n")
        assert checkpoints.restore(replicate(state_of(0)))[1] == 24
        words.unlink()
        assert checkpoints.restore(replicate(state_of(0)))[1] == 24


def test_another_rate_of_the_sound_is_refused(tmp_path):
    config = small_config()
    with Checkpoints(tmp_path, config.train, audio_rate=16_000) as checkpoints:
        checkpoints.save(state_of(3), position=24)
    with (
        Checkpoints(tmp_path, config.train, audio_rate=48_000) as checkpoints,
        pytest.raises(UserError, match="48000 samples a second; step 3 was trained with 16000"),
    ):
        checkpoints.restore(state_of(0))
    for same in (16_000, None):
        with Checkpoints(tmp_path, config.train, audio_rate=same) as checkpoints:
            assert checkpoints.restore(state_of(0))[1] == 24


def test_checkpoint_with_a_missing_part_is_a_user_error(tmp_path):
    with Checkpoints(tmp_path, small_config().train) as checkpoints:
        checkpoints.save(state_of(4), position=32)
    for path in (tmp_path / "checkpoints" / "4" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with (
        Checkpoints(tmp_path, small_config().train) as checkpoints,
        pytest.raises(UserError, match="step 4 cannot be read"),
    ):
        checkpoints.restore(state_of(0))


def test_new_work_directory_takes_the_configuration(tmp_path):
    config = small_config()
    claim_workdir(tmp_path / "a" / "b", config, nothing)
    stored = json.loads((tmp_path / "a" / "b" / "config.json").read_text())
    assert stored["train.steps"] == 20 and stored["train.learning_rates"] == [1e-2, 1e-3]
    written = sorted(path.name for path in (tmp_path / "a" / "b").iterdir())
    assert written == ["began.json", "config.json"]
    claim_workdir(tmp_path / "a" / "b", config, nothing)


def test_a_run_begins_with_its_first_start_but_not_with_a_mistake(tmp_path):
    def mistaken():
        raise UserError("no records", where="here", expected="some", todo="build them")

    def killed():
        raise SystemExit

    with pytest.raises(UserError, match="no records"):
        claim_workdir(tmp_path, small_config(), mistaken)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        claim_workdir(tmp_path, small_config(), killed)
    began = first_start(tmp_path)
    with pytest.raises(UserError, match="no records"):  # its hours are not forgotten
        claim_workdir(tmp_path, small_config(), mistaken)
    claim_workdir(tmp_path, small_config(), nothing)
    assert first_start(tmp_path) == began


def test_what_changes_neither_updates_nor_input_may_differ(tmp_path):
    claim_workdir(tmp_path, small_config(), nothing)
    before = (tmp_path / "config.json").read_bytes()
    values = {"mode", "init_from", "train.log_every", "data.data_dir", "eval.truth", "demo.videos"}
    assert values < FREE_KEYS and not {"seed", "train.steps", "data.frames"} & FREE_KEYS
    plain = small_config()
    for key in sorted(FREE_KEYS):
        value = plain
        for part in key.split("."):
            value = value[part]
        claim_workdir(tmp_path, small_config(**{key: another(value)}), nothing)
    assert (tmp_path / "config.json").read_bytes() == before


def test_keys_that_are_gone_have_no_say(tmp_path):
    claim_workdir(tmp_path, small_config(), nothing)
    stored = json.loads((tmp_path / "config.json").read_text())
    more = {"short": True, "short_overrides.train__steps": 20}
    (tmp_path / "config.json").write_text(json.dumps(stored | more))
    claim_workdir(tmp_path, small_config(), nothing)


def test_other_configuration_is_refused_and_names_what_differs(tmp_path):
    claim_workdir(tmp_path, small_config(), nothing)
    changes = {"train.steps": 30, "model.video.patch": (2, 4, 4), "train.log_every": 1}
    with pytest.raises(UserError) as error:
        claim_workdir(tmp_path, small_config(**changes), nothing)
    assert error.value.where == str(tmp_path / "config.json")
    lines = [line.strip() for line in error.value.expected.splitlines()[1:]]
    assert lines == [
        "model.video.patch: there [2, 8, 8], now [2, 4, 4]",
        "train.steps: there 20, now 30",
    ]


def test_a_key_that_is_younger_than_the_run_has_its_default(tmp_path):
    claim_workdir(tmp_path, small_config(), nothing)
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    del stored["data.keep_windows"]
    path.write_text(json.dumps(stored))
    claim_workdir(tmp_path, small_config(), nothing)
    with pytest.raises(UserError, match="another configuration") as error:
        claim_workdir(tmp_path, small_config(**{"data.keep_windows": True}), nothing)
    assert "data.keep_windows: there False, now True" in error.value.expected


def test_a_run_that_is_older_than_the_choice_of_a_curriculum_did_the_paper_s(tmp_path):
    paper = small_config()
    claim_workdir(tmp_path, paper, nothing)
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    for key in ("signal", "select"):
        del stored[f"harmonize.{key}"]
    path.write_text(json.dumps(stored))
    claim_workdir(tmp_path, paper, nothing)
    by_default = {f"harmonize.{k}": default().harmonize[k] for k in PAPER}
    with pytest.raises(UserError, match="another configuration") as error:
        claim_workdir(tmp_path, small_config(**by_default), nothing)
    assert "harmonize.signal: there 'cosine', now 'loss'" in error.value.expected


@pytest.mark.parametrize("content", [b"", b'{"mode": "pretrain', b"[1]", b"null", b"\xff\xfe\x00"])
def test_damaged_configuration_is_a_user_error(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json cannot be read"):
        claim_workdir(tmp_path, small_config(), nothing)
    assert (tmp_path / "config.json").read_bytes() == content


def test_file_in_the_place_of_the_work_directory_is_a_user_error(tmp_path):
    (tmp_path / "run").write_text("mine")
    for workdir in (tmp_path / "run", tmp_path / "run" / "below"):
        with pytest.raises(UserError, match="work directory cannot be created") as error:
            claim_workdir(workdir, small_config(), nothing)
        assert error.value.where == str(workdir)


def test_a_run_goes_on_with_its_own_lists_of_stretches(tmp_path):
    train = small_config().train
    with Checkpoints(tmp_path, train, selection="abc") as checkpoints:
        checkpoints.save(state_of(2), position=16)
    for same in ("abc", None):
        with Checkpoints(tmp_path, train, selection=same) as checkpoints:
            checkpoints.restore(state_of(0))
    for other in ("", "def"):
        with (
            Checkpoints(tmp_path, train, selection=other) as checkpoints,
            pytest.raises(UserError, match=r"lists of data\.only and data\.without"),
        ):
            checkpoints.restore(state_of(0))
