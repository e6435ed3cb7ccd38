"""A corpus that exists, exists in part, differs, or does not fit on the disk."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import av
import pytest

from vatt_gh.demo.corpus import bytes_needed, render_corpus
from vatt_gh.errors import UserError

_RENDER = """
import sys
from vatt_gh.demo.corpus import CorpusSpec, render_corpus
if __name__ == "__main__":
    render_corpus(sys.argv[1], {spec!r}, workers=1)
"""


def test_a_finished_corpus_is_not_rendered_again(tools, tmp_path):
    spec = tools.changed(videos=1, min_seconds=4.0, max_seconds=5.0)
    render_corpus(tmp_path / "c", spec, workers=1)
    before = _times(tmp_path / "c")
    render_corpus(tmp_path / "c", spec, workers=2)
    assert _times(tmp_path / "c") == before


@pytest.mark.parametrize("marker", ["corpus.json", "corpus.started.json"])
def test_other_arguments_are_refused_by_name(tools, tmp_path, marker):
    spec = tools.changed(videos=1, min_seconds=4.0, max_seconds=5.0)
    render_corpus(tmp_path, spec, workers=1)
    (tmp_path / "corpus.json").rename(tmp_path / marker)
    before = _times(tmp_path)
    other = tools.changed(videos=1, min_seconds=4.0, max_seconds=5.0, seed=77, caption_noise=0.1)
    with pytest.raises(UserError) as caught:
        render_corpus(tmp_path, other, workers=1)
    assert "seed: there 5, now 77" in str(caught.value)
    assert "caption_noise: there 0.4, now 0.1" in str(caught.value)
    assert "sound_noise" not in str(caught.value)
    assert _times(tmp_path) == before


def test_a_directory_with_something_else_is_left_alone(tools, tmp_path):
    (tmp_path / "caption.json").write_text("mine")
    with pytest.raises(UserError, match=r"something else: caption\.json"):
        render_corpus(tmp_path, tools.spec, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["caption.json"]
    assert (tmp_path / "caption.json").read_text() == "mine"


def test_a_killed_render_leaves_whole_files_and_is_continued(corpus, tools, tmp_path):
    script = tmp_path / "render.py"
    script.write_text(_RENDER.format(spec=tools.spec))
    folder = tmp_path / "c"
    child = subprocess.Popen(
        [sys.executable, str(script), str(folder)], start_new_session=True, env=tools.environment
    )
    try:
        deadline = time.monotonic() + 60
        while not list(folder.glob("videos/*.mp4")) and time.monotonic() < deadline:
            assert child.poll() is None
            time.sleep(0.002)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    finished = _times(folder / "videos", "*.mp4")
    assert 0 < len(finished) < tools.spec.videos
    assert not (folder / "corpus.json").exists()
    for path in folder.glob("videos/*.mp4"):
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) >= 90
    render_corpus(folder, tools.spec, workers=1)
    assert finished.items() <= _times(folder / "videos").items()
    assert tools.tables(folder) == tools.tables(corpus)
    assert tools.decoded(folder) == tools.decoded(corpus)
    assert {path.name for path in folder.iterdir()} == {path.name for path in corpus.iterdir()}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("full", ["a video", "a table"])
def test_a_full_disk_says_so_and_is_continued(tools, tmp_path, full):
    spec = tools.changed(videos=1, min_seconds=4.0, max_seconds=5.0)
    render_corpus(tmp_path / "good", spec, workers=1)
    (video,) = (tmp_path / "good" / "videos").iterdir()
    # Leftovers of an interrupted call, with the next file on a full disk.
    folder = tmp_path / "full"
    (folder / "videos").mkdir(parents=True)
    started = (tmp_path / "good" / "corpus.json").read_bytes()
    (folder / "corpus.started.json").write_bytes(started)
    if full == "a video":
        (folder / "videos" / f".{video.name}.partial").symlink_to("/dev/full")
    else:
        (folder / ".caption.json.partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"The disk is full") as caught:
        render_corpus(folder, spec, workers=1)
    assert caught.value.where.startswith(str(folder))
    assert not (folder / "caption.json").exists()
    assert not (folder / "corpus.json").exists()
    if full == "a video":
        assert list((folder / "videos").iterdir()) == []
    render_corpus(folder, spec, workers=1)
    assert tools.tables(folder) == tools.tables(tmp_path / "good")


def test_a_corpus_larger_than_the_disk_is_refused_before_anything_is_written(tools, tmp_path):
    with pytest.raises(UserError, match=r"corpus may take .* GB free"):
        render_corpus(tmp_path, tools.changed(videos=10**12), workers=1)
    assert list(tmp_path.iterdir()) == []


def test_needed_room_is_more_than_what_a_corpus_takes(corpus, tools):
    taken = sum(path.stat().st_size for path in corpus.rglob("*") if path.is_file())
    assert taken < bytes_needed(tools.spec) < 6 * taken


def _times(folder, pattern="**/*"):
    return {p.name: p.stat().st_mtime_ns for p in folder.glob(pattern) if p.is_file()}
