"""Builds in parts: finished parts are kept, failed ones restart, none is built twice."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from media_files import grey, write_media

import vatt_gh
from tfds_builders.build import build, build_for
from tfds_builders.parts import Part, Settings
from vatt_gh.data.record_index import load_index
from vatt_gh.data.records import open_source
from vatt_gh.data.sources import find_or_build, find_records
from vatt_gh.errors import UserError
from vatt_gh.media.form import Form

FORM = Form(fps=10.0, short_side=16, audio_rate=16_000, segment_seconds=2.0)
VIDEOS = 20


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twenty videos of 3 s."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "videos").mkdir()
    for number in range(VIDEOS):
        images = [grey(40 + number + k, 32, 24) for k in range(30)]
        path = folder / "videos" / f"video{number:02}.mp4"
        write_media(path, images, [k / 10 for k in range(30)])
    return folder


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """The records of an undisturbed build in one part."""
    records = tmp_path_factory.mktemp("whole")
    (part,) = build("howto100m", manual_dir=corpus, data_dir=records, form=FORM)
    return part


def in_parts(corpus, records, parts, part=0):
    settings = Settings(parts=parts, part=part)
    return build("howto100m", manual_dir=corpus, data_dir=records, form=FORM, settings=settings)


def by_key(examples):
    return {(e["video_id"], int(e["segment"])): e for e in examples}


def assert_same_records(reading, parts, whole):
    found = [example for part in parts for example in reading.tfds(part)]
    expected = by_key(reading.tfds(whole))
    assert sorted(by_key(found)) == sorted(expected)
    reading.assert_same(found, [expected[key] for key in by_key(found)])


def times_of(parts):
    return {p: p.stat().st_mtime_ns for part in parts for p in Path(part).iterdir()}


def test_parts_together_are_the_whole_and_any_can_be_built_again(
    corpus, whole, reading, tmp_path, capsys
):
    (third,) = in_parts(corpus, tmp_path, 3, part=3)
    assert third.parent.name == "jpeg_16_10fps-part003of003"
    assert "1 of 3 parts finished" in capsys.readouterr().out
    before = times_of([third])
    parts = in_parts(corpus, tmp_path, 3)
    assert len(parts) == 3
    assert times_of([third]) == before
    assert_same_records(reading, parts, whole)
    assert f"{VIDEOS} videos, {2 * VIDEOS} segments" in capsys.readouterr().out
    shutil.rmtree(parts[0])
    before = times_of(parts[1:])
    assert in_parts(corpus, tmp_path, 0) == parts  # as many as before, by default
    assert times_of(parts[1:]) == before
    assert_same_records(reading, parts, whole)
    source = open_source(parts)
    assert source.count == 2 * VIDEOS
    one_by_one = [example for part in parts for example in reading.source(part)]
    together = [source.shards.read(record) for record in range(source.count)]
    assert len(set(together)) == source.count == len(one_by_one)


def test_more_parts_than_videos_leave_some_empty(corpus, whole, reading, tmp_path):
    parts = in_parts(corpus, tmp_path, 24)
    assert len(parts) == 24
    # TFDS itself cannot read a data set without examples.
    filled = [part for part in parts if len(load_index(part).shard)]
    assert len(filled) < VIDEOS
    assert_same_records(reading, filled, whole)
    assert open_source(parts).count == 2 * VIDEOS


def test_other_numbers_of_parts_and_parts_that_are_not_there_are_refused(corpus, tmp_path):
    in_parts(corpus, tmp_path, 4, part=1)
    with pytest.raises(UserError, match=r"has 4 part\(s\), not 5") as caught:
        in_parts(corpus, tmp_path, 5)
    assert "--parts=4" in caught.value.todo
    with pytest.raises(UserError, match="There is no part 5"):
        in_parts(corpus, tmp_path, 4, part=5)


def test_a_part_that_another_process_is_at_is_left_to_it(corpus, tmp_path):
    folder = tmp_path / "howto100m"
    folder.mkdir()
    other = Part(folder, FORM, 2, 3)
    with open(folder / f".{other.config_name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Another process is building part 2"):
            in_parts(corpus, tmp_path, 3, part=2)
        assert len(in_parts(corpus, tmp_path, 3)) == 2
        assert other.finished() is None
    assert len(in_parts(corpus, tmp_path, 3)) == 3


def test_missing_parts_are_built_where_the_videos_are_known_and_else_said(
    corpus, tmp_path, clock_like_config, capsys
):
    data = clock_like_config.data
    data.data_dir, data.manual_dir = str(tmp_path), ""
    first = in_parts(corpus, tmp_path, 3, part=1)
    assert find_records("howto100m", str(tmp_path)) == (first, 2)
    assert find_or_build(clock_like_config.data, build_for) == first
    assert "2 parts are missing; the others are read" in capsys.readouterr().out
    data.manual_dir = str(corpus)
    assert len(find_or_build(clock_like_config.data, build_for)) == 3


@pytest.fixture
def clock_like_config():
    from small import small_config

    config = small_config()
    config.data.build_short_side, config.data.build_segment_seconds = 16, 2.0
    config.data.build_audio_rate = 16_000
    return config


def command(corpus, records):
    options = [f"--{key}={getattr(FORM, key)}" for key in ("short_side", "audio_rate")]
    return [
        *(sys.executable, "-m", "tfds_builders.build", "howto100m", f"--manual_dir={corpus}"),
        *(f"--data_dir={records}", "--parts=5", "--segment_seconds=2", *options),
    ]


def finished_parts(records):
    return sorted(path.parent for path in records.glob("howto100m/*/[0-9]*/dataset_info.json"))


def test_a_part_that_was_killed_before_its_last_step_is_built_again(corpus, reading, tmp_path):
    (part,) = in_parts(corpus, tmp_path, 2, part=1)
    before = reading.tfds(part)
    # TFDS writes everything, dataset_info.json too, into such a folder and renames it at the end.
    left = part.rename(part.with_name(f"incomplete.4MXP7E_{part.name}"))
    note = tmp_path / "howto100m" / ".config" / f"incomplete.{'0' * 32}.metadata.json"
    note.touch()
    assert in_parts(corpus, tmp_path, 2, part=1) == [part]
    reading.assert_same(reading.tfds(part), before)
    assert not left.exists() and not note.exists()


def test_a_killed_build_goes_on_with_the_same_command(corpus, whole, reading, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(vatt_gh.__file__).parents[1])}
    process = subprocess.Popen(command(corpus, tmp_path), env=environment)
    deadline = time.monotonic() + 120
    while not finished_parts(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = finished_parts(tmp_path)
    assert 1 <= len(done) < 5
    before = times_of(done)
    again = subprocess.run(
        command(corpus, tmp_path), env=environment, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    parts = finished_parts(tmp_path)
    assert len(parts) == 5
    assert before.items() <= times_of(done).items()
    assert_same_records(reading, parts, whole)
    left = [p for p in tmp_path.rglob("*") if p.name.startswith(("incomplete", "spool"))]
    assert left == []


def test_beam_builds_the_same_parts(corpus, whole, reading, tmp_path):
    options = "runner=DirectRunner,direct_num_workers=2,direct_running_mode=multi_processing"
    settings = Settings(parts=2, workers=1, beam=options)
    arguments = {"manual_dir": corpus, "data_dir": tmp_path, "form": FORM, "settings": settings}
    parts = build("howto100m", **arguments)
    assert len(parts) == 2
    assert_same_records(reading, parts, whole)


def test_what_beam_does_not_know_is_said(corpus, tmp_path):
    settings = Settings(parts=2, beam="runner=NoSuchRunner")
    with pytest.raises(UserError, match="The Beam pipeline failed") as caught:
        build("howto100m", manual_dir=corpus, data_dir=tmp_path, form=FORM, settings=settings)
    assert "NoSuchRunner" in str(caught.value)
    settings = Settings(parts=2, beam="runnr=DirectRunner")
    with pytest.raises(UserError, match="there is no option runnr"):
        build("howto100m", manual_dir=corpus, data_dir=tmp_path, form=FORM, settings=settings)
