"""The survey of a folder before a build: exact if all files are inspected."""

import dataclasses
import json
import time

import numpy as np
import pytest
from media_files import grey, tone, write_media

from vatt_gh.media.form import WHOLE, Form, MediaError, Span
from vatt_gh.media.library import scan
from vatt_gh.media.probe import Look, look, trial
from vatt_gh.media.survey import survey, text
from vatt_gh.media.video import read_segments

FORM = Form(fps=10.0, short_side=32, audio_rate=16_000, segment_seconds=4.0)
CODECS = {"mp4": "libx264", "mkv": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4"}


def here(function, tasks):
    """Calls in this process, one after another."""
    return (function(*task) for task in tasks)


def noise(seconds, size=(48, 64)):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (*size, 3), np.uint8) for _ in range(10 * seconds)]
    return images, [k / 10 for k in range(10 * seconds)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five good videos, four invalid ones, captions of two and of an unknown video."""
    folder = tmp_path_factory.mktemp("survey")
    videos = folder / "videos"
    videos.mkdir()
    sound = {"sound": [(0.0, tone(2, 16_000))]}
    first = write_media(videos / "-Qw4w9WgXcQ.mkv", *noise(6), **sound)
    write_media(videos / "Tie a knot [aaaaaaaaaaa].mp4", *noise(5))
    write_media(videos / "Tie a knot-bbbbbbbbbbb.avi", *noise(3), codec="mpeg4", **sound)
    write_media(videos / "lesson 1.mkv", *noise(2), **sound)
    write_media(videos / "lesson 2.mkv", *noise(9), **sound)
    (videos / "half.mkv").write_bytes(first.read_bytes()[: first.stat().st_size // 2])
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "page.mp4").write_bytes(b"<html>404</html>" * 100)
    write_media(videos / "sound.mkv", **sound)
    (videos / "Again [-Qw4w9WgXcQ].mp4").write_bytes(b"x")
    row = {"text": ["hello there", "you"], "start": [0, 2], "end": [1, 3]}
    ids = ("-Qw4w9WgXcQ", "half", "stranger one", "stranger two")
    (folder / "caption.json").write_text(json.dumps(dict.fromkeys(ids, row)))
    cue = "1\n00:00:00,500 --> 00:00:01,500\n{}\n\n"
    (videos / "lesson 1.srt").write_text(cue.format("hi") + cue.format("..."))
    return folder


def test_numbers_are_exact_where_all_is_looked_at(folder):
    library = scan(folder)
    found = survey(library, FORM, sample=100, workers=1, run=here)
    assert found.files == 10
    assert found.videos == found.looked == 9
    assert found.rules == {"11 characters": 1, "[id]": 1, "-id": 1, "the whole name": 6}
    assert found.captioned == 3
    assert (found.usable, found.silent, found.tried) == (5, 1, 5)
    assert found.hours * 3600 == pytest.approx(25.0, abs=0.11)  # one frame of the AVI file
    rows = {row.get("id", row.get("path")): row["reason"] for row in found.skipped}
    assert len(rows) == len(found.skipped) == 8
    assert rows.pop(str(folder / "videos" / "Again [-Qw4w9WgXcQ].mp4")).startswith("has the same")
    assert rows.pop("half").startswith("is truncated")
    assert rows.pop("lesson 1").startswith("left out 1 of its captions")
    assert rows.pop("sound") == "has no video stream"
    for name in ("empty", "page"):
        assert rows.pop(name).startswith("cannot be decoded")
    assert set(rows.values()) == {"has captions but no video file"}


def test_bytes_are_those_of_the_stored_segments(folder):
    library = scan(folder)
    good = [path for _, path in library.videos if isinstance(look(path, WHOLE, FORM), Look)]
    for storage in ("jpeg", "mp4"):
        form = dataclasses.replace(FORM, storage=storage)
        found = survey(library, form, sample=100, workers=1, run=here)
        stored = sum(segment.nbytes() for path in good for segment in read_segments(path, form))
        # Nine records with their other contents, and the length of an AVI file.
        assert stored < found.stored < 1.01 * stored + 9 * 500
        assert found.build_seconds > 0


def test_a_sample_is_the_same_each_time_and_stands_for_all(folder):
    library = scan(folder)
    for sample in (1, 4, 9):
        found = survey(library, FORM, sample=sample, workers=1, run=here)
        again = survey(library, FORM, sample=sample, workers=1, run=here)
        assert found.looked == again.looked == sample
        assert (found.hours, found.skipped) == (again.hours, again.skipped)
        assert found.videos == 9


def test_workers_share_the_time(folder, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    library = scan(folder)
    library = dataclasses.replace(library, videos=library.videos[:2])
    seconds = {}
    for workers in (1, 4, 64):
        costs = iter([0.0, 1.0] * 10)  # a stretch takes one second
        monkeypatch.setattr("vatt_gh.media.probe.time.process_time", lambda c=costs: next(c))
        seconds[workers] = survey(library, FORM, sample=9, workers=workers, run=here).build_seconds
    assert seconds[1] == pytest.approx(4 * seconds[4])
    assert seconds[64] == seconds[4]  # no more than there are cores


def test_files_that_take_long_make_the_sample_smaller(folder, monkeypatch):
    monkeypatch.setattr("vatt_gh.media.survey.TIME_LIMIT", 0.2)

    def slowly(function, tasks):
        for task in tasks:
            time.sleep(0.15)
            yield function(*task)

    found = survey(scan(folder), FORM, sample=9, workers=1, run=slowly)
    assert found.looked == 2
    assert found.videos == 9
    assert "looked at      2 of 9" in text(found)


def test_what_is_printed(folder):
    shown = text(survey(scan(folder), FORM, sample=100, workers=2, run=here))
    lines = [line.strip() for line in shown.splitlines()]
    assert "media files    10" in lines
    assert "ids            9: 1 by 11 characters, 1 by [id], 1 by -id, 6 by the whole name" in lines
    assert "with captions  3 of 9" in lines
    assert "looked at      all of them" in lines
    assert "unreadable     4 of 9 (44 %)" in lines
    assert "without sound  1 of 5 (20 %)" in lines
    assert any(line.startswith("video          25") for line in lines)
    assert "2 such as stranger one: has captions but no video file" in lines
    assert any(line.startswith("records        about ") for line in lines)
    assert any(line.startswith("build          about ") for line in lines)
    assert "None of the" not in shown


def test_a_folder_with_nothing_that_can_be_read(tmp_path):
    (tmp_path / "videos").mkdir()
    for number in range(20):
        (tmp_path / "videos" / f"{number}.mp4").write_bytes(b"")
    found = survey(scan(tmp_path), FORM, sample=5, workers=1, run=here)
    assert (found.usable, found.stored, found.build_seconds) == (0, None, None)
    assert text(found).endswith("None of the 5 videos that were looked at can be used.")


def test_stretches_and_rules_of_a_listing(folder, tmp_path):
    (tmp_path / "a.mkv").symlink_to(folder / "videos" / "lesson 2.mkv")
    (tmp_path / "videos.csv").write_text(
        "video_id,path,start,end,text\nx,a.mkv,1,3.5,hello\ny,a.mkv,4,,\nz,a.mkv,20,,\n"
    )
    found = survey(scan(tmp_path), FORM, sample=9, workers=1, run=here)
    assert found.rules == {"videos.csv": 3}
    assert (found.files, found.videos, found.usable, found.captioned) == (1, 3, 2, 1)
    assert found.hours * 3600 == pytest.approx(2.5 + 5.0, abs=0.01)
    assert [row["reason"] for row in found.skipped] == ["has no frame at 20.0 s"]


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("share", [1.0, 0.4, 0.2])
def test_a_look_sees_what_decoding_all_sees(tmp_path, suffix, share):
    path = tmp_path / f"clip.{suffix}"
    options = {"movflags": "+faststart"} if suffix == "mp4" else {}
    write_media(path, *noise(12), codec=CODECS[suffix], options=options)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    found = look(path, WHOLE, FORM)
    try:
        end = list(read_segments(path, FORM))[-1].end
    except MediaError as error:
        assert share < 1
        assert isinstance(found, MediaError)
        assert error.reason.startswith(("is truncated", "is damaged"))
        assert found.reason.startswith("is truncated")
    else:
        assert share == 1
        assert found.seconds == pytest.approx(end, abs=0.01)


def test_the_end_is_found_without_a_length_in_the_header(tmp_path):
    path = write_media(tmp_path / "clip.mkv", *noise(8), options={"live": "1"})
    assert look(path, WHOLE, FORM).seconds == pytest.approx(8.0, abs=0.01)


def test_a_late_beginning_is_no_part_of_the_length(tmp_path):
    images, times = noise(4)
    path = write_media(tmp_path / "clip.mkv", images, [time + 5 for time in times])
    (end,) = (s.end for s in read_segments(path, dataclasses.replace(FORM, segment_seconds=9.0)))
    assert look(path, WHOLE, FORM).seconds == pytest.approx(end, abs=0.01)


def test_a_trial_of_the_middle_is_like_the_whole(tmp_path):
    times = [k / 10 for k in range(300)]
    images = [grey(30 + k % 200, 320, 240) for k in range(300)]
    path = write_media(tmp_path / "clip.mkv", images, times, sound=[(0.0, tone(30, 16_000))])
    found = look(path, WHOLE, FORM)
    part, whole = trial(path, found, FORM, 6.0), trial(path, found, FORM, 100.0)
    assert (part.seconds, whole.seconds) == (6.0, 30.0)
    assert part.stored / 6 == pytest.approx(whole.stored / 30, rel=0.05)
    assert 0.3 < (part.cpu_seconds / 6) / (whole.cpu_seconds / 30) < 3
    gone = trial(tmp_path / "gone.mkv", Look(Span(0, 5), 5.0, True), FORM, 6.0)
    assert "No such file" in gone.reason
