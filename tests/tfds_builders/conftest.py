"""A realistic corpus, with broken files among good ones, and readers of records."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from media_files import grey, tone, write_media


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


def read_with_tfds(version_dir):
    """All examples as read by TFDS, with frames as stored."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(version_dir))
    decoders = {"frames": tfds.decode.SkipDecoding()}
    return list(tfds.as_numpy(builder.as_dataset(split="train", decoders=decoders)))


def read_with_source(version_dir):
    """All examples as read by the input pipeline, by number."""
    import tensorflow as tf

    from vatt_gh.data.records import open_source
    from vatt_gh.data.storage import STORED
    from vatt_gh.media.example import byte_values, features

    source = open_source([version_dir])
    records = tf.data.Dataset.range(source.count).map(source.read)
    examples = list(records.as_numpy_iterator())
    for example in examples:
        data = source.recent(example.pop("record"))
        for name in STORED[source.form.storage]:
            values = [data[slice(*span)] for span in byte_values(data, features(data)[name])]
            several = np.array(values, object)
            sound = source.form.storage == "jpeg" and name == "audio"
            example[name] = np.frombuffer(values[0], np.int16) if sound else several
    return examples


def assert_same(left, right):
    """Asserts that two lists of examples are equal bit for bit, in order."""
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        assert a["captions"].keys() == b["captions"].keys()
        for name in a.keys() - {"captions"}:
            np.testing.assert_array_equal(a[name], b[name], name)
        for name in a["captions"]:
            np.testing.assert_array_equal(a["captions"][name], b["captions"][name], name)


@pytest.fixture(scope="session")
def reading():
    return SimpleNamespace(tfds=read_with_tfds, source=read_with_source, assert_same=assert_same)
