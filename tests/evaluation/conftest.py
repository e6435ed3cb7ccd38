"""A run, a folder of media files as people have it, and their vectors."""

import os
import shutil

import pytest
from evaluation.extraction import RATE, extracted, make_run
from media_files import grey, tone, write_media


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """(configuration, work directory)."""
    workdir = tmp_path_factory.mktemp("run") / "work"
    return make_run(workdir), workdir


@pytest.fixture(scope="session")
def films(small_corpus, tmp_path_factory):
    """A folder as people have it: nested, with broken, silent, upright and audio-only files."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "more").mkdir()
    videos = sorted((small_corpus / "videos").glob("*.mp4"))
    shutil.copy(videos[0], folder / "one.mp4")
    shutil.copy(videos[1], folder / "more" / "one.mp4")
    (folder / "broken.mp4").write_bytes(videos[0].read_bytes()[:3000])
    (folder / "notes.txt").write_text("no film")
    times = [k / 10 for k in range(23)]
    write_media(folder / "silent.mp4", [grey(90, 64, 48)] * 23, times)
    upright = [grey(7 * k, 48, 80) for k in range(23)]
    write_media(folder / "upright.mkv", upright, times, sound=[(0.0, tone(2.3, RATE))])
    write_media(folder / "song.wav", sound=[(0.0, tone(3.1, RATE))])
    os.symlink("nowhere.mp4", folder / "lost.mp4")
    return folder


@pytest.fixture(scope="session")
def vectors(run, films, tmp_path_factory):
    """(outcome, folder of the vectors)."""
    to = tmp_path_factory.mktemp("vectors") / "to"
    return extracted(run, films, to), to
