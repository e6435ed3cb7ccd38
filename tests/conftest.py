"""Four CPU devices for every test; JAX reads this before its first use."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "4"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
# Most of the suite's time is compilation of programs that run once.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    + " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)

import gc
import json
import shutil

import jax
import pytest
from media_files import grey, small_spec, tone, write_media

from vatt_gh.demo.corpus import render_corpus
from vatt_gh.media.form import Form

# A minute or more each: started last, one would occupy one worker while the other waits.
SLOW = (
    "test_main_killed",
    "test_pod_training",
    "test_pod_demo",
    "test_quickstart",
    "test_sets_from_checkpoints",
    "test_step",
)


def pytest_collection_modifyitems(items):
    """Runs the slow files first."""
    items.sort(key=lambda item: item.path.stem not in SLOW)


@pytest.fixture(scope="module", autouse=True)
def _programs_are_forgotten():
    """Else the programs of all files stay, ten gigabytes of them in each process."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The `tiny_run.Tiny`: corpus and records of a tiny run; no test changes them."""
    import tiny_run  # here: most tests do not need TensorFlow, which takes seconds to import

    return tiny_run.prepared(tiny_run.session_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """(work directory, last state) of an undisturbed tiny run; tests copy what they change."""
    import tiny_run

    return tiny_run.uninterrupted(tiny_run.session_folder(tmp_path_factory))


SMALL_FORM = Form(fps=10.0, short_side=32, audio_rate=16_000, segment_seconds=4.0)


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory):
    """Four narrated videos of 9 to 11 s in HowTo100M's layout; no test changes them."""
    folder = tmp_path_factory.mktemp("small") / "corpus"
    render_corpus(folder, small_spec(seed=11), workers=1)
    return folder


@pytest.fixture(scope="session")
def messy_corpus(small_corpus, tmp_path_factory):
    """Four good videos, one silent, one without captions; and unusable files."""
    folder = tmp_path_factory.mktemp("messy") / "corpus"
    shutil.copytree(small_corpus, folder)
    videos = folder / "videos"
    good = min(videos.glob("*.mp4")).read_bytes()
    (videos / "truncated00.mp4").write_bytes(good[: len(good) // 2])
    (videos / "zerobytes00.mp4").write_bytes(b"")
    pictures = [grey(40 + k, 64, 48) for k in range(50)], [k / 10 for k in range(50)]
    write_media(videos / "silentvideo.mp4", *pictures)
    write_media(videos / "wordlessone.mkv", *pictures, sound=[(0.0, tone(5, 16_000))])
    captions = json.loads((folder / "caption.json").read_text())
    for name in ("silentvideo", "nosuchvideo"):
        captions[name] = {"text": ["Caf\u00e9, 50% off!"], "start": [1.0], "end": [4.5]}
    (folder / "caption.json").write_text(json.dumps(captions))
    return folder


@pytest.fixture(scope="session")
def small_form():
    """The storage form of `small_records`."""
    return SMALL_FORM


@pytest.fixture(scope="session")
def small_records(small_corpus, tmp_path_factory):
    """The only version directory of the records of `small_corpus`; no test changes them."""
    # Imported here: most tests do not need TensorFlow, which takes seconds to import.
    from tfds_builders.build import build

    folder = tmp_path_factory.mktemp("small") / "records"
    (part,) = build("howto100m", manual_dir=small_corpus, data_dir=folder, form=SMALL_FORM)
    return part
