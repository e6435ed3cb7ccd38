"""Words: the vocabulary, and word ids of captions."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from vatt_gh.errors import UserError
from vatt_gh.files import read_utf8, write_whole

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")


def build_vocabulary(counts: dict[str, int], size: int) -> list[str]:
    """Builds a vocabulary: the special words, then the most frequent ones.

    Args:
        counts: occurrences of each word.
        size: largest number of words, including the special ones.

    Returns:
        Words by id; ties in alphabetical order, so that the result depends on counts alone.
    """
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return [*SPECIAL, *ranked[: max(0, size - len(SPECIAL))]]


def read_vocabulary(path: Path) -> list[str]:
    """Reads a vocabulary.

    Args:
        path: one word per line, UTF-8, the first line `<pad>`.

    Returns:
        Words by id.

    Raises:
        UserError: there is no such file, or it is not a vocabulary.
    """
    todo = "give a file with one word a line, <pad> first and <unk> among them, or leave "
    todo += "--config.data.vocabulary empty to build one from the captions"
    what = "The vocabulary cannot be read"
    words = read_utf8(path, what, expected="a UTF-8 text file", todo=todo).split("\n")
    words = words[:-1] if words and not words[-1] else words
    if not words or words[0] != "<pad>" or "<unk>" not in words or len(set(words)) != len(words):
        raise UserError(
            "The file is not a vocabulary.",
            where=path,
            expected="distinct words, one a line, <pad> first and <unk> among them",
            todo=todo,
        )
    return words


def vocabulary_of(
    workdir: Path, given: str, counts: Callable[[], dict[str, int]], size: int
) -> list[str]:
    """Reads or builds a run's vocabulary, kept in its work directory so that word ids never change.

    Args:
        workdir: work directory of the run; holds vocabulary.txt after the first call.
        given: path of a vocabulary, or "" to build one.
        counts: returns each word's count in the captions; called only to build a vocabulary.
        size: largest number of words.

    Returns:
        Words by id.

    Raises:
        UserError: a file is missing or cannot be used.
    """
    kept = Path(workdir) / "vocabulary.txt"
    if kept.exists():
        return read_vocabulary(kept)
    words = read_vocabulary(Path(given)) if given else build_vocabulary(counts(), size)
    write_whole(kept, "\n".join(words) + "\n")
    return words


class Tokenizer:
    """Converts captions to word ids in a graph: no punctuation, lower case, split at spaces.

    Args:
        words: words by id; must hold `<unk>`.
        length: word ids per caption; longer ones are cut, shorter ones padded with 0.
    """

    def __init__(self, words: list[str], length: int):
        self.words, self.length = tuple(words), length
        keys = tf.constant(words)
        values = tf.range(len(words), dtype=tf.int64)
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, values), words.index("<unk>")
        )

    def __call__(self, captions: tf.Tensor) -> tf.Tensor:
        """Converts [K] string to [K, length] int32."""
        clean = tf.strings.regex_replace(captions, "[[:punct:]]", "")
        # The white space of Python's str.split; tf.strings.split knows only ASCII's.
        clean = tf.strings.regex_replace(clean, r"[\t-\r\x1c-\x20\x{85}\pZ]", " ")
        pieces = tf.strings.split(tf.strings.lower(clean, encoding="utf-8"))
        ids = pieces.with_flat_values(self._table.lookup(pieces.flat_values))
        dense = ids.to_tensor(0, shape=[None, self.length])
        return tf.cast(tf.ensure_shape(dense, [captions.shape[0], self.length]), tf.int32)
