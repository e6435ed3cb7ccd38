"""One build of a directory with all known defects of users' directories."""

import json
import os
import shutil
from types import SimpleNamespace

import av
import numpy as np
import pytest
from media_files import grey, tone, write_media

from tfds_builders.build import build
from tfds_builders.dry_run import dry_run
from tfds_builders.parts import Settings
from vatt_gh.media.form import Form

FORM = Form(fps=10.0, short_side=16, audio_rate=16_000, segment_seconds=4.0)
CUE = "{}\n00:00:0{},000 --> 00:00:0{},000\n{}\n\n"


def clip(path, width=32, height=24, seconds=2, **more):
    """A small video; `sound` as for write_media."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [grey(40 + 5 * k, width, height) for k in range(10 * seconds)]
    more.setdefault("times", [k / 10 for k in range(10 * seconds)])
    return write_media(path, images, more.pop("times"), **more)


def with_tone(rate=16_000, seconds=2):
    return {"sound": [(0.0, tone(seconds, rate))], "rate": rate}


def turn(path):
    """Writes a quarter turn into an mp4 file, as phones do; numbers are 16.16 fixed point."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    values = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30]
    data[place : place + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    path.write_bytes(data)


def set_back(path, seconds):
    """Makes the second cluster of an mkv file begin earlier than it does."""
    data = bytearray(path.read_bytes())
    cluster = b"\x1f\x43\xb6\x75"
    place = data.index(cluster, data.index(cluster) + 4)
    place = data.index(b"\xe7", place + 4)  # Timestamp, in milliseconds
    size = data[place + 1] & 0x7F
    time = int.from_bytes(data[place + 2 : place + 2 + size], "big")
    earlier = time - round(1000 * seconds)
    data[place + 2 : place + 2 + size] = earlier.to_bytes(size, "big")
    path.write_bytes(data)


def pictures_of(path):
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(video=0)]


def make_videos(videos):
    good = clip(videos / "good.mp4", **with_tone(), sound_codec="aac")
    # Files that are not videos.
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(60)]
    whole = write_media(videos / "truncated.mkv", noise, [k / 10 for k in range(60)])
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (videos / "halfmoov.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (videos / "zero.mp4").write_bytes(b"")
    (videos / "page.webm").write_bytes(b"<html>404 not found</html>" * 40)
    write_media(videos / "onlysound.mkv", **with_tone())
    # Videos that are unusual.
    clip(videos / "silent.mp4")
    turn(clip(videos / "turned.mp4", **with_tone()))
    clip(videos / "portrait.mkv", 24, 40, **with_tone())
    clip(videos / "odd.mkv", 33, 27, codec="ffv1", pix_fmt="bgr0", **with_tone())
    irregular = [
        *np.linspace(0, 0.5, 10, endpoint=False).round(3),
        *(0.5 + k / 7 for k in range(10)),
    ]
    clip(videos / "irregular.mp4", times=irregular, **with_tone())
    back = clip(videos / "back.mkv", options={"cluster_time_limit": "500"}, **with_tone())
    set_back(back, 0.3)
    times = pictures_of(back)
    assert min(np.diff(times)) < 0
    clip(videos / "telephone.mkv", **with_tone(8_000))
    clip(videos / "surround.mkv", **with_tone(48_000), layout="5.1")
    # Names.
    shutil.copy(good, videos / "-0RWZT-miFs.mp4")
    shutil.copy(good, videos / "--help.mp4")
    (videos / "other").mkdir()
    shutil.copy(good, videos / "other" / "good.webm")
    shutil.copy(good, os.fsencode(videos) + b"/caf\xe9.mp4")
    # Links.
    elsewhere = videos.parent.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(good, elsewhere / "another name.mp4")
    (videos / "linked.mp4").symlink_to(elsewhere / "another name.mp4")
    (videos / "gone.mp4").symlink_to(elsewhere / "nothing.mp4")
    (videos / "other" / "loop").symlink_to(videos)


def make_captions(folder):
    captions = folder / "captions"
    captions.mkdir()
    say = CUE.format
    latin, wide = say(1, 0, 1, "caf\u00e9 cr\u00e8me"), say(1, 0, 1, "\u0440\u0443\u0441\u0441")
    (captions / "turned.srt").write_bytes(latin.encode("latin-1"))
    (captions / "portrait.srt").write_bytes(wide.encode("utf-16"))
    (captions / "good.srt").write_text(
        say(3, 1, 2, "second") + say(1, 0, 2, "first, which lasts") + say(2, 1, 2, "")
    )
    (captions / "odd.srt").write_text("")
    (captions / "silent.vtt").write_bytes(b"\0\1\2" * 100)
    (captions / "stranger.srt").write_text(say(1, 0, 1, "hello"))
    row = {"text": ["from the list"], "start": [0.5], "end": [1.5]}
    ids = ("-0RWZT-miFs", "nobody", "../elsewhere/another name", "/etc/hostname", "a/b")
    (folder / "caption.json").write_text(json.dumps({**dict.fromkeys(ids, row), "back": [1]}))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The corpus, the build's rows of omissions by file or id, and its records by id."""
    import tensorflow_datasets as tfds

    corpus = tmp_path_factory.mktemp("bad") / "corpus"
    (corpus / "videos").mkdir(parents=True)
    make_videos(corpus / "videos")
    make_captions(corpus)
    records = tmp_path_factory.mktemp("bad_records")
    (part,) = build("howto100m", manual_dir=corpus, data_dir=records, form=FORM)
    rows = [json.loads(line) for line in (records / "skipped.jsonl").read_text().splitlines()]
    builder = tfds.builder_from_directory(str(part))
    examples = list(tfds.as_numpy(builder.as_dataset(split="train")))
    return SimpleNamespace(
        corpus=corpus,
        rows=rows,
        videos={example["video_id"].decode(): example for example in examples},
        count=len(examples),
    )


def reasons(built, name):
    """The reasons for an omission, by file below the corpus or by id."""
    path = str(built.corpus / name)
    return [r["reason"] for r in built.rows if r.get("path") == path or r.get("id") == name]


GOOD = {
    *("good", "silent", "turned", "portrait", "odd", "irregular", "back", "telephone"),
    *("surround", "-0RWZT-miFs", "--help", "linked"),
}


def test_all_that_can_be_used_is_built(built):
    assert set(built.videos) == GOOD
    assert built.count == len(GOOD)  # with one segment each


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("videos/truncated.mkv", "is truncated: "),
        ("videos/halfmoov.mp4", "cannot be decoded: "),
        ("videos/zero.mp4", "cannot be decoded: "),
        ("videos/page.webm", "cannot be decoded: "),
        ("videos/onlysound.mkv", "has no video stream"),
        ("videos/other/good.webm", "has the same id as "),
        ("videos/gone.mp4", "is a link to nothing"),
        (os.fsdecode(b"videos/caf\xe9.mp4"), "has a name that is not UTF-8"),
        ("captions/odd.srt", "is empty"),
        ("captions/silent.vtt", "holds zero bytes"),
        ("captions/good.srt", "left out 1 of its captions"),
        ("captions/stranger.srt", "has captions of stranger, and there is no such video file"),
        ("nobody", "has captions but no video file"),
        ("../elsewhere/another name", "has captions but no video file"),
        ("/etc/hostname", "has captions but no video file"),
        ("a/b", "has captions but no video file"),
        ("back", "captions are not of the form"),
    ],
)
def test_what_is_left_out_is_named_once(built, name, reason):
    (found,) = reasons(built, name)
    assert found.startswith(reason)


def test_nothing_else_is_named(built):
    assert len(built.rows) == 17


def test_frames_are_upright_and_of_any_size(built):
    sizes = {name: example["frames"].shape[1:3] for name, example in built.videos.items()}
    assert sizes.pop("turned") == (22, 16)
    assert sizes.pop("portrait") == (26, 16)
    assert sizes.pop("odd") == (16, 20)
    assert set(sizes.values()) == {(16, 22)}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_frames_and_sound_have_the_length_of_the_video(built, name):
    example = built.videos[name]
    assert len(example["frames"]) == example["frame_count"]
    assert example["frame_count"] == pytest.approx(20, abs=1)
    assert example["has_audio"] == (name != "silent")
    if name != "silent":
        assert len(example["audio"]) == example["frame_count"] * 1600
        # The tone exists, and the channels of a surround sound are mixed, not dropped.
        assert 1000 < np.abs(example["audio"][1600:24_000]).max() < 30_000


def test_time_stamps_that_go_back_leave_frames_in_their_order(built):
    levels = built.videos["back"]["frames"].mean((1, 2, 3))
    assert np.all(np.diff(levels) > -2)
    assert levels[0] == pytest.approx(40, abs=4)
    assert levels[-1] == pytest.approx(40 + 5 * 19, abs=6)


def said(built, name):
    captions = built.videos[name]["captions"]
    return [
        (text.decode(), float(start), float(end))
        for text, start, end in zip(*(captions[k] for k in ("text", "start", "end")), strict=True)
    ]


def test_captions_of_any_encoding_in_order(built):
    assert said(built, "turned") == [("caf\u00e9 cr\u00e8me", 0.0, 1.0)]
    assert said(built, "portrait") == [("\u0440\u0443\u0441\u0441", 0.0, 1.0)]
    assert said(built, "good") == [("first, which lasts", 0.0, 2.0), ("second", 1.0, 2.0)]
    assert said(built, "-0RWZT-miFs") == [("from the list", 0.5, 1.5)]
    for name in GOOD - {"turned", "portrait", "good", "-0RWZT-miFs"}:
        assert said(built, name) == []


def test_a_dry_run_of_it_names_the_same(built):
    found = dry_run("howto100m", manual_dir=built.corpus, form=FORM, settings=Settings())
    assert (found.usable, found.silent) == (len(GOOD), 1)

    def key(row):
        return row.get("path", row.get("id"))

    assert sorted(map(key, found.skipped)) == sorted(map(key, built.rows))
