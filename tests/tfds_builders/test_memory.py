"""A build needs no more memory for longer or more videos."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from media_files import grey, write_media

import vatt_gh

RATE = 48_000
BUILDS = """
import resource, sys
from pathlib import Path
from tfds_builders.build import build
from vatt_gh.media.form import Form

def most():
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN  # the build itself, and its workers
    return [resource.getrusage(w).ru_maxrss * 1024 for w in who]

used = []
for folder in map(Path, sys.argv[1:]):
    form = Form(short_side=16, segment_seconds=10.0)
    build("howto100m", manual_dir=folder, data_dir=folder / "records", form=form)
    used.append(most())
print(*(after - before for before, after in zip(*used)))
"""


def write_video(folder, name, seconds):
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, seconds * RATE).astype(np.float32)
    pictures = [grey(40 + k % 100, 32, 24) for k in range(seconds)], list(range(seconds))
    path = folder / "videos" / f"{name}.mkv"
    return write_media(path, *pictures, fps=1, sound=[(0.0, noise)], rate=RATE)


def test_memory_is_flat_in_the_length_and_number_of_videos(tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    write_video(few, "short", 30)
    write_video(many, "long", 600)
    short = write_video(many, "short0", 30)
    for number in range(1, 20):
        (many / "videos" / f"short{number}.mkv").hardlink_to(short)
    done = subprocess.run(
        [sys.executable, "-c", BUILDS, few, many],
        env=os.environ | {"PYTHONPATH": str(Path(vatt_gh.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    stored = sum(path.stat().st_size for path in (many / "records").rglob("*.tfrecord*"))
    assert stored > 100e6, "or what is kept would not show"
    build, worker = map(int, done.stdout.splitlines()[-1].split())
    assert build < 25e6
    assert worker < 25e6
