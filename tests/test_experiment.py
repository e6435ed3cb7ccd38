"""Experiment files that name keys which do not exist."""

import pytest

from vatt_gh.config import RENAMED
from vatt_gh.config.experiment import load_experiment
from vatt_gh.errors import UserError

EXPERIMENT = """
from vatt_gh.config import default
def get_config():
    config = default()
    config.{change} = {value!r}
    return config
"""


def load(tmp_path, change, value=1):
    path = tmp_path / "mine.py"
    path.write_text(EXPERIMENT.format(change=change, value=value))
    return load_experiment(str(path))


@pytest.mark.parametrize("key", RENAMED)
def test_a_key_of_an_earlier_version_is_told_its_replacement(tmp_path, key):
    with pytest.raises(UserError, match="is gone") as error:
        load(tmp_path, key)
    assert error.value.expected == RENAMED[key]
    assert error.value.where.endswith("mine.py, line 5")


@pytest.mark.parametrize(
    ("typed", "name", "near"),
    [
        ("train.stepz", "stepz", "train.steps"),
        ("train.batch_sizes", "batch_sizes", "train.batch_size"),  # eval has one, too
        ("model.video.layerz", "layerz", "model.video.layers"),
        ("trian.steps", "trian", "train.steps"),
        ("train.update", "update", "harmonize.update_by"),  # harmonize.update alone is gone
    ],
)
def test_a_mistyped_key_is_told_what_is_near(tmp_path, typed, name, near):
    with pytest.raises(UserError, match=f"There is no configuration key '{name}'") as error:
        load(tmp_path, typed)
    assert near in error.value.expected
    assert error.value.where.endswith("mine.py, line 5")


def test_a_key_that_exists_is_set(tmp_path):
    assert load(tmp_path, "train.steps", 7).train.steps == 7


def test_other_mistakes_keep_their_own_words(tmp_path):
    (tmp_path / "mine.py").write_text("def get_config():\n    return 1 / 0\n")
    with pytest.raises(UserError, match="ZeroDivisionError") as error:
        load_experiment(str(tmp_path / "mine.py"))
    assert error.value.where.endswith("mine.py, line 2")
