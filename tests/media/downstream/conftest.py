"""The dummy directories, pristine and for damaging."""

import shutil

import pytest
from dummy_data import make


@pytest.fixture(scope="session")
def pristine(tmp_path_factory):
    """Returns the dummy directory of a set; no test changes it."""
    made = {}

    def give(name):
        if name not in made:
            made[name] = make(name, tmp_path_factory.mktemp("dummy") / name)
        return made[name]

    return give


@pytest.fixture
def copied(pristine, tmp_path):
    """Returns a copy of the dummy directory of a set, which a test may change."""
    return lambda name: shutil.copytree(pristine(name), tmp_path / name)
