"""YouTube-8M's records, vocabulary and ids, against TensorFlow's own parser; damaged files."""

import json
import os
import shutil

import pytest
import tensorflow as tf
from dummy_data import YOUTUBE, make, table, text, tfrecord, varint, yt8m_record
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from vatt_gh.errors import UserError
from vatt_gh.media.youtube8m import LAYOUT, parse_record, read_labels

EXPECTED = {YOUTUBE[0]: (0, 2), YOUTUBE[1]: (300,), YOUTUBE[2]: ()}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return make("youtube8m", tmp_path_factory.mktemp("dummy") / "youtube8m")


@pytest.fixture
def directory(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "youtube8m")


def train_file(directory):
    return directory / "yt8m" / "frame" / "train" / "train0001.tfrecord"


def test_labels_and_names(pristine):
    labels = read_labels(pristine)
    assert labels.by_video == EXPECTED
    assert len(labels.class_names) == 301
    assert labels.class_names[0] == "Class 0, the"
    assert labels.class_names[300] == "Class 300, the"
    assert labels.class_names[1] == ""
    assert labels.skipped == []


@pytest.mark.parametrize("kind", ["frame", "video"])
def test_one_kind_of_record_is_enough(directory, kind):
    shutil.rmtree(directory / "yt8m" / {"frame": "video", "video": "frame"}[kind])
    without_test = {name: found for name, found in EXPECTED.items() if found}
    assert read_labels(directory).by_video == (EXPECTED if kind == "frame" else without_test)


@pytest.mark.parametrize("form", ["jsonl", "j/i", "2/j/i"])
def test_other_forms_of_the_ids(directory, form):
    folder = directory / "yt8m"
    header, *lines = (folder / "yt8m_ids.csv").read_text().splitlines()
    (folder / "yt8m_ids.csv").unlink()
    pairs = [line.split(",") for line in lines]
    if form == "jsonl":
        names = header.split(",")
        rows = [json.dumps(dict(zip(names, pair, strict=True))) for pair in pairs]
        text(folder / "yt8m_ids.jsonl", *rows)
    else:
        for name, video in pairs:
            text(folder / form / name[:2] / f"{name}.js", f'i("{name}","{video}");')
    labels = read_labels(directory)
    assert labels.by_video == EXPECTED
    assert labels.skipped == []


def test_records_without_a_youtube_id_are_one_row_a_file(directory):
    path = directory / "yt8m" / "more.tfrecord"
    tfrecord(path, [yt8m_record(name, [0]) for name in ("AAAA", "x001", "x002", "../x", "")])
    labels = read_labels(directory)
    # AAAA has other labels in the frame-level file, which comes before.
    assert labels.by_video == EXPECTED
    assert labels.skipped == [
        {"path": str(path), "reason": "1 of 5 records contradict the labels of an earlier record"},
        {"path": str(path), "reason": "4 of 5 records have no YouTube id"},
    ]


def test_records_of_something_else(directory):
    path = directory / "yt8m" / "more.tfrecord"
    other = tf.train.Example(
        features=tf.train.Features(
            feature={"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"]))}
        )
    ).SerializeToString()
    new = [yt8m_record("AAAA", [0, 301]), yt8m_record("AAAA", [-1])]
    tfrecord(path, [other, b"\xff", b"", *new, yt8m_record("AAAA", [0, 2])])
    labels = read_labels(directory)
    assert labels.by_video == EXPECTED
    assert labels.skipped == [
        {"path": str(path), "reason": "3 of 6 records are no examples with an id and labels"},
        {"path": str(path), "reason": "2 of 6 records have labels that are not in vocabulary.csv"},
    ]


def test_a_broken_record_is_named_and_the_rest_is_read(directory):
    shutil.rmtree(directory / "yt8m" / "video")
    path = train_file(directory)
    data = bytearray(path.read_bytes())
    data[100] ^= 4
    path.write_bytes(data)
    labels = read_labels(directory)
    assert labels.by_video == {name: EXPECTED[name] for name in YOUTUBE[1:3]}
    (row,) = labels.skipped
    assert row["path"] == str(path)
    assert row["reason"].startswith("the record at byte 0 is broken")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(directory):
    path = train_file(directory)
    path.chmod(0)
    labels = read_labels(directory)
    assert labels.by_video == EXPECTED  # from the video-level records
    assert labels.skipped == [{"path": str(path), "reason": "cannot be read: Permission denied"}]


def test_damaged_rows_of_the_ids(directory):
    path = directory / "yt8m" / "yt8m_ids.csv"
    good = [line.split(",") for line in path.read_text().splitlines()[1:]]
    bad = [("AAAA", "aaaaaaaaaaa"), ("bbbbb", "bbbbbbbbbbb"), ("cccc", "../../etc/pw"), ("dddd",)]
    table(path, "yt8m_id,youtube_id", good + bad)
    labels = read_labels(directory)
    assert labels.by_video == EXPECTED
    assert [row["reason"][:22] for row in labels.skipped] == [
        "row 4 gives AAAA a sec",
        "row 5 is no pair of id",
        "row 6 is no pair of id",
        "row 7 is no pair of id",
    ]
    path.unlink()
    rows = [json.dumps({"yt8m_id": name, "youtube_id": video}) for name, video in good]
    path = text(path.with_suffix(".jsonl"), *rows, "[1, 2]", "{", '{"yt8m_id": 3}', '{"yt8m_id')
    labels = read_labels(directory)
    assert labels.by_video == EXPECTED
    assert [row["path"] for row in labels.skipped] == [str(path)] * 4


@pytest.mark.parametrize(
    "content", ['i("AAAB","0sf943sWZls");', 'i("AAAA","../../x");', "", "<html>", "\udc80"]
)
def test_published_ids_that_are_wrong(directory, content):
    folder = directory / "yt8m"
    (folder / "yt8m_ids.csv").unlink()
    path = folder / "j" / "i" / "AA" / "AAAA.js"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    labels = read_labels(directory)
    assert labels.by_video == {}
    assert all(row["reason"].endswith("have no YouTube id") for row in labels.skipped)


def test_ids_never_lead_out_of_the_published_folder(directory):
    folder = directory / "yt8m"
    (folder / "yt8m_ids.csv").unlink()
    (folder / "j" / "i" / "AA").mkdir(parents=True)
    name = "../../x"
    secret = text(folder / "j" / "i" / name[:2] / f"{name}.js", f'i("{name}","{YOUTUBE[0]}");')
    assert secret.resolve().parent == directory
    tfrecord(folder / "more.tfrecord", [yt8m_record(name, [0])])
    assert read_labels(directory).by_video == {}


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("**/*.tfrecord", "records are missing"),
        ("vocabulary.csv", "vocabulary.csv is missing"),
        ("yt8m_ids.csv", r"yt8m_ids.csv, yt8m_ids.jsonl or the folder j/i is missing"),
        (".", "directory with the data is missing"),
    ],
)
def test_missing_files_show_the_layout(directory, pattern, what):
    folder = directory / "yt8m"
    if pattern == ".":
        shutil.rmtree(folder)
    else:
        for path in folder.glob(pattern):
            path.unlink()
    with pytest.raises(UserError, match=what) as caught:
        read_labels(directory)
    assert caught.value.where == str(folder)
    assert LAYOUT in caught.value.expected


@pytest.mark.parametrize("index", ["x", "-1", "", "1.0", "\N{SUPERSCRIPT TWO}", "4000000000"])
def test_a_vocabulary_with_a_wrong_index(directory, index):
    path = table(directory / "yt8m" / "vocabulary.csv", "Index,Name", [(index, "Game")])
    with pytest.raises(UserError, match="an index that is no number") as caught:
        read_labels(directory)
    assert caught.value.where == str(path)


def test_the_dummy_records_are_what_tensorflow_reads():
    sequence = tf.train.SequenceExample.FromString(yt8m_record("nXSc", [3, 3861], frames=7))
    assert sequence.context.feature["id"].bytes_list.value == [b"nXSc"]
    assert sequence.context.feature["labels"].int64_list.value == [3, 3861]
    lists = sequence.feature_lists.feature_list
    assert [len(lists[key].feature) for key in ("rgb", "audio")] == [7, 7]
    example = tf.train.Example.FromString(yt8m_record("nXSc", [3, 3861]))
    assert len(example.features.feature["mean_rgb"].float_list.value) == 1024
    assert example.features.feature["id"].bytes_list.value == [b"nXSc"]


FEATURES = st.one_of(
    st.builds(
        lambda values: tf.train.Feature(bytes_list=tf.train.BytesList(value=values)),
        st.lists(st.text(max_size=5).map(str.encode), max_size=2),
    ),
    st.builds(
        lambda values: tf.train.Feature(int64_list=tf.train.Int64List(value=values)),
        st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    ),
    st.builds(
        lambda values: tf.train.Feature(float_list=tf.train.FloatList(value=values)),
        st.lists(st.floats(width=32), max_size=3),
    ),
    st.just(tf.train.Feature()),
)
CONTEXTS = st.dictionaries(st.sampled_from(["id", "labels", "rgb", "", "ID"]), FEATURES).map(
    lambda features: tf.train.Features(feature=features)
)
MESSAGES = st.one_of(
    CONTEXTS.map(lambda features: tf.train.Example(features=features)),
    CONTEXTS.map(lambda context: tf.train.SequenceExample(context=context)),
    CONTEXTS.map(
        lambda context: tf.train.SequenceExample(
            context=context,
            feature_lists=tf.train.FeatureLists(
                feature_list={"id": tf.train.FeatureList(feature=context.feature.values())}
            ),
        )
    ),
)


def slowly(features):
    """The expected result of parse_record, from TensorFlow's message."""
    names = features.feature["id"].bytes_list.value if "id" in features.feature else []
    if not names:
        return None
    labels = features.feature["labels"].int64_list.value if "labels" in features.feature else []
    return names[-1].decode(), tuple(label % (1 << 64) for label in labels)


def quickly(record):
    try:
        return parse_record(record)
    except ValueError:
        return None


@given(message=MESSAGES)
@settings(deadline=None)
def test_what_tensorflow_writes(message):
    features = message.features if isinstance(message, tf.train.Example) else message.context
    assert quickly(message.SerializeToString()) == slowly(features)


@given(message=MESSAGES, data=st.data())
@settings(deadline=None)
def test_damaged_messages_are_read_alike_or_refused(message, data):
    record = bytearray(message.SerializeToString())
    if record:
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    record = bytes(record[: data.draw(st.integers(0, len(record)))])
    found = quickly(record)
    try:
        features = tf.train.Example.FromString(record).features
        expected = slowly(features)
    except (DecodeError, UnicodeDecodeError):
        return
    assert found == expected


def test_labels_that_are_not_packed():
    values = b"".join(b"\x08" + varint(value) for value in (7, 300))
    feature = b"\x1a" + varint(len(values)) + values
    pair = b"\x0a\x06labels\x12" + varint(len(feature)) + feature
    record = yt8m_record("nXSc", [])
    features = b"\x0a" + varint(len(pair)) + pair
    merged = record + b"\x0a" + varint(len(features)) + features
    message = tf.train.Example.FromString(merged)
    assert message.features.feature["labels"].int64_list.value == [7, 300]
    assert parse_record(merged) == ("nXSc", (7, 300))


@given(record=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(record):
    quickly(record)
