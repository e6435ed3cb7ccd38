"""One small rendered corpus, shared by the demo's tests, and its readers."""

import dataclasses
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from media_files import small_spec

import vatt_gh
from vatt_gh.demo.corpus import CorpusSpec, render_corpus

SPEC = small_spec(seed=5, caption_noise=0.4, sound_noise=0.4, width=96, height=72, max_seconds=14.0)
TABLES = ("HowTo100M_v1.csv", "caption.json", "alignment.jsonl")


def changed(**changes) -> CorpusSpec:
    return dataclasses.replace(SPEC, **changes)


def decoded(folder: Path) -> dict[str, tuple[str, str]]:
    """Digests of every video's decoded frames and decoded sound, with their times."""
    digests = {}
    for path in sorted((folder / "videos").glob("*.mp4")):
        pair = []
        for kind in ("video", "audio"):
            digest = hashlib.sha256()
            with av.open(str(path)) as container:
                for frame in container.decode(**{kind: 0}):
                    digest.update(f"{frame.pts}".encode() + frame.to_ndarray().tobytes())
            pair.append(digest.hexdigest())
        digests[path.name] = tuple(pair)
    return digests


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in TABLES]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A rendered corpus; no test changes it."""
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    render_corpus(folder, SPEC, workers=1)
    return folder


@pytest.fixture(scope="session")
def tools():
    # For subprocesses, to find the same package as this process.
    environment = os.environ | {"PYTHONPATH": str(Path(vatt_gh.__file__).parents[1])}
    return SimpleNamespace(
        spec=SPEC, changed=changed, decoded=decoded, tables=tables, environment=environment
    )
