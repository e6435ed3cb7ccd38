"""Every golden file of the chosen set has a test named after it."""

import importlib
from pathlib import Path

import pytest
from golden.golden_set import FOLDER, SET
from interop.test_tf_checkpoint import KINDS


def named_tests():
    """The files that golden tests name: "x" of `test_golden_x`, and each of their parameters."""
    names = set()
    for path in Path(__file__).parent.glob("test_golden_*.py"):
        module = importlib.import_module(f"golden.{path.stem}")
        tests = [f for name, f in vars(module).items() if name.startswith("test_golden_")]
        for test in tests:
            names.add(test.__name__.removeprefix("test_golden_"))
            for mark in getattr(test, "pytestmark", []):
                if mark.name == "parametrize":
                    names |= {value for value in mark.args[1] if isinstance(value, str)}
    return names


def files():
    """Names of the set's files, without the set's name."""
    start = f"{SET}_"
    return {path.stem.removeprefix(start) for path in FOLDER.glob(f"{start}*.*")}


def test_every_golden_file_has_a_test_named_after_it():
    assert files(), f"no file of {SET} in {FOLDER}"
    assert files() - named_tests() == set()


def test_every_checkpoint_is_read():
    folders = {path.name for path in FOLDER.glob("tf_checkpoint_*")}
    assert folders <= {f"tf_checkpoint_{kind}" for kind in KINDS}


@pytest.mark.parametrize("name", ["measures", "video_cls", "head_joint"])
def test_names_are_found_in_functions_and_in_parameters(name):
    assert name in named_tests()
    assert f"{name}_of_another_set" not in named_tests()
