"""Names of splits. A clip in several official splits is stored once, in a joined split."""

from collections.abc import Collection, Iterable

_AND = "_and_"
NO_SPLIT = "unused"


def joined(splits: Collection[str]) -> str:
    """Names the split that stores clips of several splits.

    Args:
        splits: official names.

    Returns:
        For example "test1_and_train2_and_train3"; NO_SPLIT if there is none.
    """
    return _AND.join(sorted(splits)) or NO_SPLIT


def official(stored: Iterable[str]) -> set[str]:
    """Returns the official splits that make up stored ones."""
    return {name for split in stored for name in split.split(_AND)}


def matching(wanted: str, stored: Iterable[str]) -> list[str]:
    """Returns the stored splits that make up an official one.

    Args:
        wanted: the official split, for example "train2".
        stored: names from `joined`.

    Returns:
        Those of `stored` that belong to it. TFDS reads them together as "+".join(...).
    """
    return [name for name in stored if wanted == name or wanted in name.split(_AND)]
