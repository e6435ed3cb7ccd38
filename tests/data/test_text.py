"""Vocabulary and word ids, against plain Python."""

import string

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from vatt_gh.data.text import (
    SPECIAL,
    Tokenizer,
    build_vocabulary,
    read_vocabulary,
    vocabulary_of,
)
from vatt_gh.errors import UserError
from vatt_gh.media.words import split_words

WORDS = [*SPECIAL, "the", "caf\u00e9", "stra\u00dfe", "\u4f60\u597d", "its", "\u043c\u0438\u0440"]
SPACES = [c for c in map(chr, range(0x3001)) if c.isspace()]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(WORDS, 5)


def obvious_ids(text, length=5):
    known = {word: k for k, word in enumerate(WORDS)}
    ids = [known.get(word, SPECIAL.index("<unk>")) for word in split_words(text)]
    return (ids + [0] * length)[:length]


def test_captions_by_hand(tokenizer):
    captions = ["The CAF\u00c9!", "it's the un-known one", "", "the " * 7]
    assert tokenizer(tf.constant(captions)).numpy().tolist() == [
        [4, 5, 0, 0, 0],
        [8, 4, 3, 3, 0],
        [0, 0, 0, 0, 0],
        [4, 4, 4, 4, 4],
    ]


pieces = st.sampled_from(
    [
        *WORDS,
        "Caf\u00c9",
        "STRASSE",
        "\u041c\u0438\u0440",
        "\U0001f600",
        *string.punctuation,
        *SPACES,
    ]
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.lists(pieces, max_size=12).map("".join), min_size=1, max_size=8))
def test_tokens_are_those_that_the_words_were_counted_by(tokenizer, captions):
    # The vocabulary holds words by media.words; another rule would make them unknown.
    ids = tokenizer(tf.constant(captions))
    assert ids.dtype == tf.int32
    assert ids.numpy().tolist() == [obvious_ids(text) for text in captions]


@pytest.mark.parametrize("space", SPACES, ids=lambda c: f"U+{ord(c):04X}")
def test_all_spaces_part_words(tokenizer, space):
    # YouTube's captions hold no-break spaces, U+00A0.
    text = f"the{space}its{space}{space}caf\u00e9"
    assert tokenizer(tf.constant([text])).numpy().tolist() == [[4, 8, 5, 0, 0]]
    assert split_words(text) == ["the", "its", "caf\u00e9"]


def test_the_tokenizer_works_in_a_graph_with_a_known_shape(tokenizer):
    data = tf.data.Dataset.from_tensors(["the its", "x"]).map(tokenizer)
    assert data.element_spec.shape == [2, 5]
    assert next(data.as_numpy_iterator()).tolist() == [[4, 8, 0, 0, 0], [3, 0, 0, 0, 0]]


def test_vocabulary_is_the_most_frequent_words_ties_by_alphabet():
    counts = {"b": 2, "a": 2, "z": 9, "c": 1, "\u00e9": 2}
    assert build_vocabulary(counts, 100) == [*SPECIAL, "z", "a", "b", "\u00e9", "c"]
    assert build_vocabulary(counts, 6) == [*SPECIAL, "z", "a"]
    assert build_vocabulary(dict(reversed(counts.items())), 6) == [*SPECIAL, "z", "a"]
    assert build_vocabulary(counts, 4) == [*SPECIAL]
    assert build_vocabulary(counts, 2) == [*SPECIAL]  # the special ones always exist


def test_a_run_keeps_its_vocabulary(tmp_path):
    counts = {"caf\u00e9": 2, "the": 5}
    words = vocabulary_of(tmp_path, "", lambda: counts, 100)
    assert words == [*SPECIAL, "the", "caf\u00e9"]
    # Other captions and another file come later; ids must not change.
    counts = {"other": 2}
    (tmp_path / "given.txt").write_text("<pad>\n<unk>\nx\n")
    assert vocabulary_of(tmp_path, "", lambda: counts, 5) == words
    assert vocabulary_of(tmp_path, str(tmp_path / "given.txt"), lambda: counts, 5) == words
    assert not list(tmp_path.glob("*.partial"))


def test_a_given_vocabulary_is_taken_as_it_is(tmp_path):
    given_file = tmp_path / "given.txt"
    given_file.write_text("<pad>\nz\n<unk>\na\u00a0b", encoding="utf-8")
    words = vocabulary_of(tmp_path, str(given_file), dict, 2)
    assert words == ["<pad>", "z", "<unk>", "a\u00a0b"]
    ids = Tokenizer(words, 2)(tf.constant(["z y"]))
    assert ids.numpy().tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "content",
    [None, b"", b"the\na\n", b"<pad>\nthe\n", b"<pad>\n<unk>\nthe\nthe\n", b"<pad>\n<unk>\n\xff\n"],
)
def test_a_file_that_is_no_vocabulary_is_named(tmp_path, content):
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_vocabulary(path)
    assert caught.value.where == str(path)
    assert "<pad> first" in caught.value.todo
