"""Names of splits. A clip of several official splits is stored once, in a joined split."""

from collections.abc import Collection, Iterable

_AND = "_and_"
NO_SPLIT = "unused"


def joined(splits: Collection[str]) -> str:
    """The split in which clips of several splits are stored.

    Args:
        splits: official names.

    Returns:
        Such as "test1_and_train2_and_train3"; NO_SPLIT where there is none.
    """
    return _AND.join(sorted(splits)) or NO_SPLIT


def official(stored: Iterable[str]) -> set[str]:
    """The official splits that stored ones consist of."""
    return {name for split in stored for name in split.split(_AND)}


def matching(wanted: str, stored: Iterable[str]) -> list[str]:
    """The stored splits that an official one consists of.

    Args:
        wanted: such as "train2".
        stored: names by `joined`.

    Returns:
        Those of `stored` that are part of it. TFDS reads them together as "+".join(...).
    """
    return [name for name in stored if wanted == name or wanted in name.split(_AND)]
