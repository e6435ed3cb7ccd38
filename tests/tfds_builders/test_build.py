"""Whole builds: the command, rejections, a full disk, and existing records."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import vatt_gh
from tfds_builders.build import build, main
from vatt_gh.errors import UserError

needs_dev_full = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="needs a device that is always full"
)


def run_command(*arguments):
    environment = os.environ | {"PYTHONPATH": str(Path(vatt_gh.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-m", "tfds_builders.build", *arguments],
        capture_output=True,
        text=True,
        env=environment,
    )


def options_of(form):
    return [f"--{name}={value}" for name, value in dataclasses.asdict(form).items()]


def files_of(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_the_command_builds_the_same_with_one_worker_as_with_two(
    small_corpus, small_form, small_records, reading, tmp_path
):
    done = run_command(
        "howto100m",
        f"--manual_dir={small_corpus}",
        f"--data_dir={tmp_path / 'new' / 'records'}",
        "--workers=1",
        *options_of(small_form),
    )
    assert done.returncode == 0, done.stderr
    summary, folder = done.stdout.splitlines()[-2:]
    assert summary.startswith("howto100m: 4 videos, 12 segments, 13 captions")
    reading.assert_same(reading.tfds(folder), reading.tfds(small_records))
    for name in ("words.json", "features.json"):
        assert (Path(folder) / name).read_bytes() == (small_records / name).read_bytes()


def test_the_command_says_what_is_wrong_and_nothing_else(tmp_path):
    done = run_command(
        "howto100m", f"--manual_dir={tmp_path / 'gone'}", f"--data_dir={tmp_path / 'records'}"
    )
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "error: The directory with the videos is missing." in done.stderr
    assert f"where: {tmp_path / 'gone'}" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    ("state", "arguments", "what"),
    [
        ("empty", [], "The directory with the videos holds no video."),
        ("not json", [], "The caption file is not JSON"),
        ("good", ["--fps=0"], "fps = 0.0 does not fit."),
        ("good", ["--short_side=255"], "short_side = 255 does not fit."),
        ("good", ["--workers=0"], "workers = 0 does not fit."),
        ("good", ["--parts=-1"], "parts = -1 does not fit."),
        ("good", ["--storage=avi"], "storage = avi does not fit."),
        ("good", ["--jpeg_quality=96"], "jpeg_quality = 96 does not fit."),
        ("good", ["--segment_seconds=nan"], "segment_seconds = nan does not fit."),
        ("unknown", [], "There is no builder 'howto200m'."),
    ],
)
def test_other_mistakes_have_one_message_too(
    small_corpus, tmp_path, capsys, state, arguments, what
):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    if state != "empty":
        shutil.copytree(small_corpus / "videos", corpus / "videos")
    if state == "not json":
        (corpus / "caption.json").write_text("{'a': 1}")
    name = "howto200m" if state == "unknown" else "howto100m"
    records = tmp_path / "records"
    status = main([name, f"--manual_dir={corpus}", f"--data_dir={records}", *arguments])
    assert status == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {what}")
    for part in ("  where: ", "  expected: ", "  to do: "):
        assert err.count(part) == 1
    assert not list(records.rglob("*.tfrecord*"))


def test_a_missing_option_is_refused_by_the_command_line(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["howto100m", "--data_dir=x"])
    assert caught.value.code == 2
    assert "--manual_dir" in capsys.readouterr().err


def test_finished_records_are_not_built_again(small_corpus, small_form, small_records):
    data_dir = small_records.parents[2]
    before = files_of(data_dir)
    again = build("howto100m", manual_dir=small_corpus, data_dir=data_dir, form=small_form)
    assert again == [small_records]
    assert files_of(data_dir) == before


def test_records_with_other_settings_are_kept_and_named(small_corpus, small_form, small_records):
    data_dir = small_records.parents[2]
    before = files_of(data_dir)
    other = dataclasses.replace(small_form, fps=5.0, jpeg_quality=80)
    with pytest.raises(UserError) as caught:
        build("howto100m", manual_dir=small_corpus, data_dir=data_dir, form=other)
    assert "fps: there 10.0, now 5.0" in caught.value.what
    assert "jpeg_quality: there 90, now 80" in caught.value.what
    assert "short_side" not in caught.value.what
    assert caught.value.where == str(small_records)
    assert files_of(data_dir) == before


def test_nothing_usable_leaves_the_reasons_alone_and_can_be_mended(
    small_corpus, small_form, reading, tmp_path
):
    corpus, records = tmp_path / "corpus", tmp_path / "records"
    (corpus / "videos").mkdir(parents=True)
    good = min((small_corpus / "videos").iterdir())
    (corpus / "videos" / "empty.mp4").write_bytes(b"")
    (corpus / "videos" / "half.mp4").write_bytes(good.read_bytes()[:20_000])
    arguments = {"manual_dir": corpus, "data_dir": records, "form": small_form}
    with pytest.raises(UserError, match="None of the 2 videos can be used") as caught:
        build("howto100m", **arguments)
    assert str(records / "skipped.jsonl") in caught.value.todo
    rows = [json.loads(line) for line in (records / "skipped.jsonl").read_text().splitlines()]
    assert {row["id"] for row in rows} == {"empty", "half"}
    assert not list(records.rglob("*.tfrecord*"))
    assert not list(records.rglob("dataset_info.json"))
    shutil.copy(good, corpus / "videos")
    (part,) = build("howto100m", **arguments)
    examples = reading.tfds(part)
    assert {example["video_id"].decode() for example in examples} == {good.stem}


class _FullSpool(tempfile.TemporaryDirectory):
    """A spool with files on a full disk."""

    def __enter__(self):
        folder = super().__enter__()
        for number in range(1, 8):
            os.symlink("/dev/full", Path(folder) / f"{number}")
        return folder


@needs_dev_full
@pytest.mark.parametrize("full", ["the spool", "the shard", "the index"])
def test_a_full_disk_says_so_and_keeps_what_was_there(
    small_corpus, small_form, small_records, reading, tmp_path, monkeypatch, full
):
    # The kernel's own error, at each place where a build writes.
    import tensorflow as tf

    earlier = tmp_path / "howto50m" / "x" / "1.0.0"
    shutil.copytree(small_records, earlier)
    before = files_of(tmp_path)
    writer = tf.io.TFRecordWriter
    with monkeypatch.context() as patch:
        if full == "the spool":
            patch.setattr("vatt_gh.media.decoding.tempfile.TemporaryDirectory", _FullSpool)
        elif full == "the shard":
            patch.setattr("tensorflow.io.TFRecordWriter", lambda path: writer("/dev/full"))
        else:
            patch.setattr("vatt_gh.data.record_index.np.savez", _write_to_full_disk)
        arguments = {"manual_dir": small_corpus, "data_dir": tmp_path, "form": small_form}
        with pytest.raises(
            UserError, match="The disk is full; what was written before is still there"
        ):
            build("howto100m", **arguments)
    assert before.items() <= files_of(tmp_path).items()
    assert not list(tmp_path.glob("spool*"))
    if full != "the index":
        assert not list((tmp_path / "howto100m").rglob("*.tfrecord*"))
    # With free space again, the same command continues.
    (again,) = build("howto100m", **arguments)
    reading.assert_same(reading.source(again), reading.tfds(small_records))


def _write_to_full_disk(place, **arrays):
    with open("/dev/full", "w") as file:
        file.write("index")


def test_less_room_than_the_videos_take_is_refused_before_anything_is_written(
    small_corpus, small_form, tmp_path
):
    corpus, records = tmp_path / "corpus", tmp_path / "records"
    shutil.copytree(small_corpus, corpus)
    with open(corpus / "videos" / "huge.mp4", "wb") as file:
        file.truncate(2**43)  # takes no space itself
    with pytest.raises(UserError, match=r"videos alone have 8796\.09 GB; .* GB free"):
        build("howto100m", manual_dir=corpus, data_dir=records, form=small_form)
    assert not list(records.rglob("*.tfrecord*"))
