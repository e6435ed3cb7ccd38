"""The configuration: rejected values, its pages, and every experiment of configs/."""

import ast
import inspect
import math
from pathlib import Path

import pytest
from ml_collections import ConfigDict
from small import small_config
from tiny_run import load_experiment

from vatt_gh.config import SCHEMA, checks, default, flatten
from vatt_gh.config.checks import validate
from vatt_gh.config.document import sections, to_help, to_markdown
from vatt_gh.config.schema import Key, keys_of
from vatt_gh.config.training import MODES, TRAINING_MODES
from vatt_gh.errors import UserError
from vatt_gh.media.form import Form, form_of
from vatt_gh.modes import RUNS

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
FORMS = [*EXPERIMENTS, "demo:short", "study:short", "study:large"]
KEYS = dict(keys_of(SCHEMA))

# Values rejected by the checks between keys, by the named key.
REFUSED = {
    "train.batch_size": 6,  # with four devices
    "loss.audio_text_weight": 1.0,  # without a space for it
    "harmonize.group": 3,  # does not divide the batch
    "study.signal_windows": 100,  # without kept windows
    "harmonize.sketch_check": True,  # without a sketch
    "train.microbatch": 3,  # with two samples per device
    "train.warmup_steps": 21,
    "model.audio.spectrogram.mel_high_hz": 60.0,  # below the lowest
    "train.keep_best": "eval.retrieval.r5",  # without eval.every
    "eval.every": 20,  # not at a step with a row
    "data.frames": 5,
    "data.size": 20,
    "data.audio_samples": 1000,
    "data.also": ("howto1m=records",),
    "model.video.buckets": (2, 1, 2),  # of several rows of patches
    "model.audio.buckets": 1,
    "model.text.relative_max_distance": 8,  # a quarter of the buckets
}
# Values that were once accepted, and led to a traceback or nonsense.
ODD = [
    ("model.video.patch", (4, 10)),
    ("model.video.patch", (4.0, 10, 10)),
    ("model.video.heads", 0),
    ("harmonize.gamma_end", 5.0),
    ("harmonize.gamma_start", float("nan")),
    ("harmonize.soft_temperature", -1.0),
    ("train.learning_rates", (1e-3,)),
    ("train.learning_rates", (1e-3, 1e-4, 1e-5)),
    ("train.learning_rates", ("a", "b")),
    ("study.noise", (0.25, 25.0)),
    ("study.seeds", (0.5,)),
    ("seed", -1),
    ("study.seeds", (4294967296,)),
    ("study.models", (["shared"],)),
    ("study.models", ("four_tower",)),
    ("study.methods", ("plain", "paper")),
    ("init_from", "somewhere"),
    ("data.also", ("records of another",)),
    ("train.keep_best", "r5"),
    ("eval.builder", "howto1m"),
    ("train.log_every", True),
    ("harmonize.realign", None),
    ("data.only", None),
    ("data.build_short_side", 255),
]


SPECTROGRAM = {
    "model.audio.spectrogram.patch": (16, 100),  # more than all mel bins
    "model.audio.spectrogram.buckets": (1, 2),  # of several frames
}


@pytest.mark.parametrize(("key", "value"), SPECTROGRAM.items())
def test_what_does_not_fit_a_spectrogram_is_refused_where_there_is_one(key, value):
    changes = {"model.audio.spectrogram.hop": 16, "model.audio.spectrogram.patch": (2, 5)}
    config = small_config(**{**changes, key: value})
    validate(config, devices=4, hosts=1)
    config.model.audio.input = "spectrogram"
    assert refusal(config).where == f"config.{key}"


def test_words_without_positions_are_refused_where_these_are_learnt():
    for changes in ({"model.text.kind": "bert"}, {"model.kind": "shared"}):
        config = small_config(**{"model.text.buckets": 1, **changes})
        assert refusal(config).where == "config.model.text.buckets"
        config.data.words = 1
        validate(config, devices=4, hosts=1)


def refusal(config, devices=4, hosts=1) -> UserError:
    with pytest.raises(UserError) as error:
        validate(config, devices=devices, hosts=hosts)
    return error.value


def test_small_configuration_is_accepted():
    for devices, hosts in ((4, 1), (1, 1), (4, 2)):
        validate(small_config(), devices=devices, hosts=hosts)


# What only these modes use.
OF_MODES = [
    ("demo", "demo.max_seconds", 9.0),
    ("study", "demo.max_seconds", 9.0),
    ("demo", "demo.max_scene_seconds", 3.1),
    ("study", "demo.max_scene_seconds", 3.1),
    ("demo", "demo.audio_rate", 10_000),
    ("extract", "extract.videos", ""),
    ("search", "search.query", ""),
]


@pytest.mark.parametrize(("mode", "key", "value"), OF_MODES)
def test_what_a_mode_cannot_use_is_refused_there_alone(mode, key, value):
    config = small_config(**{key: value})
    validate(config, devices=4, hosts=1)
    config.mode = mode
    assert refusal(config).where == f"config.{key}"


def test_one_query_is_enough_for_a_search():
    config = small_config(**{"search.query": "a red circle"})
    config.mode = "search"
    validate(config, devices=4, hosts=1)
    config.search.file = "circle.mp4"
    assert refusal(config).where == "config.search.query"
    config.search.query = ""
    validate(config, devices=4, hosts=1)


def test_a_best_checkpoint_needs_scores_wherever_something_is_trained():
    for mode in MODES:
        config = small_config(**{"train.keep_best": "eval.retrieval.r5"})
        config.mode, config.search.query, config.extract.videos = mode, "a circle", "videos"
        if mode in TRAINING_MODES:
            assert refusal(config).where == "config.train.keep_best"
        else:
            validate(config, devices=4, hosts=1)


def test_the_default_form_is_that_of_the_configuration():
    assert form_of(default().data) == Form()


def test_every_mode_runs():
    assert list(RUNS) == list(MODES)
    assert set(TRAINING_MODES) <= set(MODES)


@pytest.mark.parametrize(("key", "value"), [*REFUSED.items(), *ODD])
def test_what_does_not_fit_is_refused_by_name(key, value):
    error = refusal(small_config(**{key: value}))
    assert error.where == f"config.{key}"
    assert repr(value) in error.what
    assert error.expected and error.todo


def outside(key: Key) -> list:
    """Invalid values of the key's own type."""
    if key.choices or key.form[0]:
        return [("neither",) if isinstance(key.default, tuple) else "neither"]
    first, last = (float(end) for end in key.within[1:-1].split(","))
    if first == -math.inf:
        return [last + 1]
    values = [first - 1] + ([first] if key.within[0] == "(" else [])
    if last != math.inf:
        values += [last + 1] + ([last] if key.within[-1] == ")" else [])
    values += [key.default + 1] if key.multiple > 1 else []
    whole = not isinstance(key.default, float)
    if not isinstance(key.default, tuple):
        return [int(x) if whole else x for x in values]
    like = key.default[0]
    return [(type(like)(x), *key.default[1:]) for x in values]


@pytest.mark.parametrize("name", [n for n, k in KEYS.items() if k.within or k.choices or k.form[0]])
def test_every_key_is_held_to_its_schema(name):
    values = outside(KEYS[name])
    assert values
    for value in values:
        error = refusal(small_config(**{name: value}), devices=1)
        assert error.where == f"config.{name}", value
        assert error.expected == KEYS[name].expected()


def test_every_number_has_an_interval_and_every_default_fits():
    for name, key in KEYS.items():
        assert key.takes(key.default), name
        assert key.meaning[0].islower() or key.meaning.split()[0] in ("DropToken:", "Gaussian")
        some = key.default[0] if isinstance(key.default, tuple) and key.default else key.default
        if isinstance(some, int | float) and not isinstance(some, bool):
            assert key.within, f"{name} has no interval"


def test_no_key_has_the_name_of_a_method():
    """As an attribute it would be that method, whatever its value."""
    named = {part for name in KEYS for part in name.split(".")}
    assert not named & set(dir(ConfigDict()))


def test_what_a_table_that_is_not_installed_allows():
    key = Key("one", "", choices="no_such_package.tables:TABLE")
    assert key.allowed() == () and key.takes("any")


def test_whole_numbers_do_for_numbers_and_not_the_other_way_round():
    assert Key((0.5, 1.0), "").takes((1, 2))
    assert not Key((1, 2), "").takes((0.5, 1.0))
    assert not Key((1, 2), "").takes((True, 2))


def test_every_check_is_tried():
    """Each key named in the source of the checks is among those rejected above."""
    nodes = list(ast.walk(ast.parse(inspect.getsource(checks))))
    yielded = [node.value.elts[0] for node in nodes if isinstance(node, ast.Yield)]
    multiples = [
        node.args[1]
        for node in nodes
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_unless_multiple"
    ]
    named = {key.value for key in yielded + multiples if isinstance(key, ast.Constant)}
    below = ("cosine_over", "select", "signal", "sketch")
    others = {f"harmonize.{name}" for name in below}
    assert len(named) >= 10
    of_modes = {key for _, key, _ in OF_MODES}
    assert named - others <= REFUSED.keys() | of_modes | SPECTROGRAM.keys()


def test_one_loss_is_enough_where_no_gradients_are_compared():
    alone = {"loss.video_text_weight": 0.0}
    assert refusal(small_config(**alone), devices=1).where == "config.harmonize.realign"
    by_loss = {"harmonize.realign": False, "harmonize.signal": "loss", "harmonize.select": "share"}
    validate(small_config(**alone, **by_loss), devices=1, hosts=1)
    cosine = {"harmonize.realign": False}
    assert refusal(small_config(**alone, **cosine), devices=1).where == "config.harmonize.signal"
    none = {**alone, "loss.video_audio_weight": 0.0}
    assert refusal(small_config(**none), devices=1).where == "config.loss.video_audio_weight"
    third = {"loss.audio_text_weight": 1.0, "model.head.kind": "joint"}
    validate(small_config(**third), devices=1, hosts=1)


@pytest.mark.parametrize("key", ["study.models", "study.methods", "study.noise", "study.seeds"])
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
    by_loss = {"harmonize.realign": False, "harmonize.signal": "loss"}  # known for whole batches
    validate(small_config(**share, **by_loss), devices=1, hosts=1)


@pytest.mark.parametrize(("given", "suggested"), [(6, 4), (3, 4), (13, 12)])
def test_batch_that_the_devices_do_not_divide(given, suggested):
    error = refusal(small_config(**{"train.batch_size": given}), devices=4, hosts=2)
    assert "multiple of 4: the 4 devices of 2 host(s)" in error.expected
    assert error.todo == f"set --config.train.batch_size={suggested}"


def test_patch_of_a_waveform_does_not_matter_to_a_spectrogram():
    changes = {"data.audio_samples": 1000, "model.audio.input": "spectrogram"}
    changes["model.audio.spectrogram.hop"] = 16  # else there is no whole patch
    validate(small_config(**changes), devices=4, hosts=1)


@pytest.mark.parametrize(("engine", "sketch"), [("vmap", 64), ("ghost", 0), ("ghost", 64)])
def test_a_sketch_can_be_checked_where_there_is_one(engine, sketch):
    changes = {"engine": engine, "sketch": sketch, "sketch_check": True}
    config = small_config(**{f"harmonize.{key}": value for key, value in changes.items()})
    if engine == "ghost" and sketch:
        validate(config, devices=4, hosts=1)
    else:
        key = "sketch_check" if engine == "ghost" else "sketch"
        assert refusal(config).where == f"config.harmonize.{key}"


def test_flat_form_has_every_leaf():
    flat = flatten(default())
    assert flat["model.video.patch"] == [4, 16, 16]
    assert flat["train.adam.epsilon"] == 1e-7
    assert flat.keys() == KEYS.keys()
    assert all(value is not None for value in flat.values())


def test_the_page_is_that_of_the_schema():
    """Made by `python -m vatt_gh.config > docs/configuration.md`."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == to_markdown()
    for name in KEYS:
        assert f"| `{name}`" in page


def test_a_shown_number_is_the_default():
    shown = {
        line.split("=")[0]: line.split("=", 1)[1]
        for line in to_help("all").splitlines()
        if line.startswith("--config.")
    }
    for name, key in KEYS.items():
        if isinstance(key.default, float):
            value = float(shown[f"--config.{name}"])
            assert value == pytest.approx(key.default, rel=1e-5, abs=0), name


def test_help_shows_a_section_or_all():
    for section, keys in sections().items():
        text = to_help(section)
        assert [line.split("=")[0] for line in text.splitlines() if line[:2] == "--"] == [
            f"--config.{name}" for name, _ in keys
        ]
        assert text in to_help("all")
        assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", FORMS)
def test_experiments_load_and_fit_one_device(name):
    config = load_experiment(name)
    assert flatten(config).keys() == KEYS.keys()
    assert type(config.demo.videos) is int
    config.train.batch_size = config.train.microbatch or 1
    if config.study.signal_windows:
        assert config.study.signal_windows >= load_experiment(name).train.batch_size
    validate(config, devices=1, hosts=1)


def test_a_short_form_is_short_and_an_unknown_one_is_named():
    short, whole = load_experiment("study:short"), load_experiment("study")
    assert short.train.steps * 10 <= whole.train.steps
    assert short.demo.videos * 10 <= whole.demo.videos
    with pytest.raises(ValueError, match="no form 'tiny': expected one of whole, short"):
        load_experiment("demo:tiny")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_say_how_they_are_run(name):
    source = (ROOT / "configs" / f"{name}.py").read_text()
    text = ast.get_docstring(ast.parse(source))
    assert f"python -m vatt_gh.main --config=configs/{name}.py" in text
    assert "Hardware" in text
    assert len(source.splitlines()) <= 100
