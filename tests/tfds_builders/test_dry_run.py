"""A dry run: quick, leaves nothing behind, survives every file, and predicts the build."""

import dataclasses
import functools
import shutil
import subprocess
import sys

import pytest
from deadly import DeadlyPath

from tfds_builders.build import build, main
from tfds_builders.dry_run import dry_run
from tfds_builders.parts import Settings
from vatt_gh.errors import UserError
from vatt_gh.media.library import scan
from vatt_gh.media.survey import survey
from vatt_gh.media.workers import Limits, run_in_order


def options_of(corpus, records, form):
    settings = [f"--{name}={value}" for name, value in dataclasses.asdict(form).items()]
    return ["howto100m", f"--manual_dir={corpus}", f"--data_dir={records}", *settings]


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("storage", ["jpeg", "mp4", "index"])
def test_the_estimate_is_near_what_a_build_writes(messy_corpus, small_form, tmp_path, storage):
    form = dataclasses.replace(small_form, storage=storage)
    found = dry_run("howto100m", manual_dir=messy_corpus, form=form, settings=Settings())
    (part,) = build("howto100m", manual_dir=messy_corpus, data_dir=tmp_path, form=form)
    size = sum(path.stat().st_size for path in part.glob("*.tfrecord*"))
    assert size / 1.5 < found.stored < size * 1.5
    assert found.build_seconds > 0


def test_the_command_tells_what_there_is_and_leaves_nothing(
    messy_corpus, small_form, tmp_path, capsys
):
    before = files_of(messy_corpus)
    records = tmp_path / "records"
    assert main([*options_of(messy_corpus, records, small_form), "--dry_run"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "media files    8" in lines
    assert any(line.startswith("ids            8: ") for line in lines)
    assert "with captions  5 of 8" in lines
    assert "unreadable     2 of 8 (25 %)" in lines
    assert "without sound  1 of 6 (17 %)" in lines
    assert "left out so far  3" in lines
    assert not records.exists()
    assert files_of(messy_corpus) == before


def test_no_tensorflow_is_needed(small_corpus, tmp_path):
    program = (
        "import sys; from tfds_builders.build import main; status = main(sys.argv[1:]);"
        "sys.exit(status or 'tensorflow' in sys.modules)"
    )
    arguments = ["howto100m", f"--manual_dir={small_corpus}", f"--data_dir={tmp_path}", "--dry_run"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_nothing_usable_is_no_success(tmp_path, small_form, capsys):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"")
    assert main([*options_of(tmp_path, tmp_path / "records", small_form), "--dry_run"]) == 2
    assert "None of the 1 videos that were looked at can be used." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "form", "what"),
    [("howto200m", {}, "There is no builder"), ("howto100m", {"fps": 0.0}, "fps = 0.0")],
)
def test_mistakes_are_refused_as_by_a_build(small_corpus, small_form, name, form, what):
    form = dataclasses.replace(small_form, **form)
    with pytest.raises(UserError, match=what):
        dry_run(name, manual_dir=small_corpus, form=form, settings=Settings())


def test_files_that_hang_or_kill_or_are_huge_cost_no_more_than_their_time(
    small_corpus, small_form, tmp_path
):
    shutil.copytree(small_corpus, tmp_path / "corpus")
    with open(tmp_path / "corpus" / "videos" / "huge.mp4", "wb") as file:
        file.truncate(2**43)  # takes no space itself
    library = scan(tmp_path / "corpus")
    deadly, hanging = tmp_path / "deadly", tmp_path / "hanging"
    deadly.touch()
    videos = [*library.videos, ("zz1", DeadlyPath(hanging)), ("zz2", DeadlyPath(deadly))]
    library = dataclasses.replace(library, videos=videos)
    run = functools.partial(run_in_order, workers=2, limits=Limits(seconds=4.0))
    found = survey(library, small_form, sample=99, workers=2, run=run)
    assert (found.looked, found.usable, found.tried) == (7, 4, 4)
    reasons = {row["id"]: row["reason"] for row in found.skipped if "path" in row}
    assert reasons.keys() == {"huge", "zz1", "zz2"}
    assert reasons["zz1"] == "took longer than 4 s to decode"
    assert reasons["zz2"] == "its decoder process died"
