"""Serialized examples, read in place, against TensorFlow's parser."""

import numpy as np
import pytest
import tensorflow as tf

from vatt_gh.media.example import byte_values, exchanged, features, integers


def feature_of(values):
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def serialized(**values):
    given = {name: feature_of(values) for name, values in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=given)).SerializeToString()


@pytest.fixture
def given():
    """Values whose lengths take different numbers of bytes to encode."""
    rng = np.random.default_rng(0)
    return {
        "frames": [rng.bytes(size) for size in (0, 1, 127, 128, 129, 16_383, 16_384, 70_000)],
        "one": [b"x"],
        "caf\u00e9": ["\u00e9".encode()],
        "numbers": [0, 1, 127, 128, 2**31, 2**62],
        "times": [0.5, -1.0],
    }


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_values_are_those_that_were_given(given, kind):
    record = kind(serialized(**given))
    found = features(record)
    assert found.keys() == given.keys()
    for name in ("frames", "one", "caf\u00e9"):
        spans = byte_values(record, found[name])
        assert [bytes(record[begin:end]) for begin, end in spans] == given[name]
    assert integers(record, found["numbers"]) == tuple(given["numbers"])
    assert list(byte_values(record, found["numbers"])) == []
    assert integers(record, found["times"]) == integers(record, found["one"]) == ()


def test_no_values_and_no_features(given):
    record = tf.train.Example(
        features=tf.train.Features(feature={"none": tf.train.Feature()})
    ).SerializeToString()
    assert list(byte_values(record, features(record)["none"])) == []
    assert features(b"") == features(tf.train.Example().SerializeToString()) == {}


def test_exchanged_features_are_those_of_the_other_one(given):
    other = {"frames": [b"other"], "one": [b"y"], "unknown": [b"z"]}
    record = exchanged(serialized(**given), serialized(**other), ("frames", "unknown"))
    expected = serialized(**given | {"frames": [b"other"], "unknown": [b"z"]})
    assert tf.train.Example.FromString(record) == tf.train.Example.FromString(expected)
    same = exchanged(serialized(**given), b"", ())
    assert tf.train.Example.FromString(same) == tf.train.Example.FromString(serialized(**given))


def test_what_ends_too_early_is_no_example(given):
    record = serialized(**given)
    for size in (1, 5, 100, len(record) // 2, len(record) - 1):
        with pytest.raises(ValueError, match=r"a field is longer|does not end"):
            features(record[:size])
