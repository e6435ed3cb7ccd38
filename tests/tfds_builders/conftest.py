"""A realistic corpus, with broken files among good ones, and readers of records."""

from types import SimpleNamespace

import numpy as np
import pytest


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
    from vatt_gh.media.example import byte_values, features
    from vatt_gh.media.storages import STORAGES

    source = open_source([version_dir])
    records = tf.data.Dataset.range(source.count).map(source.read)
    examples = list(records.as_numpy_iterator())
    for example in examples:
        data = source.recent(example.pop("record"))
        for name, kind in STORAGES[source.form.storage].features.items():
            values = [data[slice(*span)] for span in byte_values(data, features(data)[name])]
            several = np.array(values, object)
            example[name] = np.frombuffer(values[0], np.int16) if kind == "samples" else several
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
