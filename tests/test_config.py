"""The configuration: what is refused and how, the short form, and every experiment of configs/."""

import ast
import inspect
from pathlib import Path

import pytest
from small import small_config
from tiny_run import load_experiment

from vatt_gh import config_checks
from vatt_gh.config import apply_short, default, flatten, get
from vatt_gh.config_checks import NOT_NEGATIVE, POSITIVE, validate
from vatt_gh.errors import UserError

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))

REFUSED = {
    "mode": "train",
    "init_from": "somewhere",
    "init_stretch": "cubic",
    "model.kind": "two_tower",
    "model.dtype": "float16",
    "model.audio.input": "mp3",
    "model.text.kind": "gpt",
    "model.head.kind": "linear",
    "loss.kind": "nce",
    "data.augmentation": "all",
    "train.batch_size": 6,  # on four devices
    "harmonize.engine": "exact",
    "harmonize.attribution": "all",
    "harmonize.select": "some",
    "harmonize.signal": "similarity",
    "harmonize.cosine_over": "heads",
    "harmonize.update": "anchor",
    "harmonize.group": 3,  # does not divide the batch
    "harmonize.share_start": -0.1,
    "harmonize.share_end": 25,
    "harmonize.curriculum_begin": -1,
    "study.models": ("four_tower",),
    "study.noise": (0.25, 25.0),
    "study.seeds": (0.5,),
    "study.signal_windows": 100,  # without kept windows
    "harmonize.sketch_check": True,  # without a sketch
    "train.microbatch": 3,  # of two samples a device
    "train.warmup_steps": 21,
    "train.learning_rates": (1e-3,),
    "model.keep_tokens": 1.5,
    "data.frames": 5,
    "data.size": 20,
    "data.audio_samples": 1000,
    "data.also": ("records of another",),
}


def refusal(config, devices=4, hosts=1) -> UserError:
    with pytest.raises(UserError) as error:
        validate(config, devices=devices, hosts=hosts)
    return error.value


def test_small_configuration_is_accepted():
    validate(small_config(), devices=4, hosts=1)
    validate(small_config(), devices=1, hosts=1)
    validate(small_config(**dict.fromkeys(NOT_NEGATIVE, 0)), devices=4, hosts=2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *REFUSED.items(),
        *((key, 0) for key in POSITIVE),
        *((key, -4) for key in POSITIVE),
        *((key, -1) for key in NOT_NEGATIVE),
        ("train.microbatch", -1),
        ("train.microbatch", 4),
        ("train.warmup_steps", -1),
        ("train.learning_rates", (1e-3, 1e-4, 1e-5)),
        ("train.learning_rates", ("a", "b")),
        ("model.keep_tokens", 0.0),
    ],
)
def test_what_does_not_fit_is_refused_by_name(key, value):
    error = refusal(small_config(**{key: value}))
    assert error.where == f"config.{key}"
    assert repr(value) in error.what
    assert error.expected and error.todo


def test_every_check_is_tried():
    """Each key that the source of the checks names is among those refused above."""
    module = ast.parse(inspect.getsource(config_checks))
    checks = {"_one_of": 1, "_divides": 1, "_check": 1}
    named = {
        node.args[checks[node.func.id]].value
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in checks
        and isinstance(node.args[1], ast.Constant)
    }
    assert len(named) >= 12
    assert named <= REFUSED.keys()


@pytest.mark.parametrize("key", ["study.models", "study.noise", "study.seeds"])
def test_a_study_of_nothing_is_refused(key):
    assert refusal(small_config(**{key: ()}), devices=1).where == f"config.{key}"


def test_a_sketch_is_of_parameters_not_of_features():
    at_features = {"harmonize.cosine_over": "features", "harmonize.sketch": 16}
    assert refusal(small_config(**at_features), devices=1).where == "config.harmonize.cosine_over"


def test_a_share_wants_the_whole_batch():
    share = {"harmonize.select": "share", "train.microbatch": 2}
    assert refusal(small_config(**share), devices=1).where == "config.harmonize.select"
    validate(small_config(**share, **{"harmonize.cosine_over": "features"}), devices=1, hosts=1)
    plain = {"harmonize.realign": False, "harmonize.curriculum": False}
    validate(small_config(**share, **plain), devices=1, hosts=1)
    by_loss = {"harmonize.realign": False, "harmonize.signal": "loss"}  # known of whole batches
    validate(small_config(**share, **by_loss), devices=1, hosts=1)


def test_choices_are_listed():
    error = refusal(small_config(mode="train"))
    assert error.expected == f"one of {', '.join(config_checks.MODES)}"


@pytest.mark.parametrize(("given", "suggested"), [(6, 4), (3, 4), (13, 12)])
def test_batch_that_the_devices_do_not_divide(given, suggested):
    error = refusal(small_config(**{"train.batch_size": given}), devices=4, hosts=2)
    assert "multiple of 4: the 4 devices of 2 host(s)" in error.expected
    assert error.todo == f"set --config.train.batch_size={suggested}"


def test_patch_of_a_waveform_does_not_matter_to_a_spectrogram():
    changes = {"data.audio_samples": 1000, "model.audio.input": "spectrogram"}
    validate(small_config(**changes), devices=4, hosts=1)


def with_short_form(short: bool):
    config = default()
    config.short = short
    with config.unlocked():
        config.short_overrides = {"train__steps": 30, "train__log_every": 5}
    return config


@pytest.mark.parametrize(("engine", "sketch"), [("vmap", 64), ("ghost", 0), ("ghost", 64)])
def test_a_sketch_can_be_checked_where_there_is_one(engine, sketch):
    changes = {"engine": engine, "sketch": sketch, "sketch_check": True}
    config = small_config(**{f"harmonize.{key}": value for key, value in changes.items()})
    if engine == "ghost" and sketch:
        validate(config, devices=4, hosts=1)
    else:
        assert refusal(config).where == "config.harmonize.sketch_check"


def test_short_form_stands_between_experiment_and_command_line():
    config = with_short_form(True)
    config.train.log_every = 7  # as the command line has set it
    short = apply_short(config, {"train.log_every": 7})
    assert (short.train.steps, short.train.log_every) == (30, 7)
    assert config.train.steps == default().train.steps  # a copy was changed


def test_without_short_nothing_is_overridden():
    assert apply_short(with_short_form(False), {}).train.steps == default().train.steps


def test_flat_form_has_every_leaf():
    flat = flatten(default())
    assert flat["model.video.patch"] == [4, 16, 16]
    assert flat["train.adam.epsilon"] == 1e-7
    assert get(default(), "model.audio.spectrogram.hop") == 1024
    assert all(get(default(), key) is not None for key in flat)


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("short", [False, True])
def test_experiments_load_and_fit_one_device(name, short):
    config = load_experiment(name)
    assert flatten(config).keys() - flatten(config.short_overrides).keys() >= {
        key for key in flatten(default())
    }
    config.short = short
    config = apply_short(config, {})
    config.train.batch_size = config.train.microbatch or 1
    validate(config, devices=1, hosts=1)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_say_how_they_are_run(name):
    source = (ROOT / "configs" / f"{name}.py").read_text()
    text = ast.get_docstring(ast.parse(source))
    assert f"python -m vatt_gh.main --config=configs/{name}.py" in text
    assert "Hardware" in text
    assert len(source.splitlines()) <= 100
