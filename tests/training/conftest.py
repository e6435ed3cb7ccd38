"""Fixtures for the tests of training: a tiny corpus with records, and one undisturbed run."""

import pytest
import tiny_run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> tiny_run.Tiny:
    """Corpus and records; no test changes them."""
    return tiny_run.prepared(tiny_run.session_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """(work directory, last state) of an undisturbed run; tests copy what they change."""
    return tiny_run.uninterrupted(tiny_run.session_folder(tmp_path_factory))
