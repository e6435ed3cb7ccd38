"""The entries of data.also, the data sets that are mixed with the first."""

from typing import NamedTuple


class MixtureEntry(NamedTuple):
    """A data set that data.also names.

    Attributes:
        builder: name of its builder.
        split: its split; "": not named.
        folder: the directory given to its build.
    """

    builder: str
    split: str
    folder: str


def parse_entry(given: str) -> MixtureEntry:
    """Splits a value of data.also.

    Args:
        given: BUILDER=DATA_DIR or BUILDER/SPLIT=DATA_DIR.

    Returns:
        Its parts; those that are missing are empty.
    """
    name, _, folder = given.partition("=")
    builder, _, split = name.partition("/")
    return MixtureEntry(builder, split, folder)
