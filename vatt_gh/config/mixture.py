"""The data sets of a mixture, as data.also names them."""

from typing import NamedTuple


class DataSet(NamedTuple):
    """A data set of a mixture.

    Attributes:
        builder: name of its builder.
        split: its split; "": not named.
        folder: the directory given to its build.
    """

    builder: str
    split: str
    folder: str


def parse_data_set(given: str) -> DataSet:
    """Splits a value of data.also.

    Args:
        given: BUILDER=DATA_DIR or BUILDER/SPLIT=DATA_DIR.

    Returns:
        Its parts; those that are missing are empty.
    """
    name, _, folder = given.partition("=")
    builder, _, split = name.partition("/")
    return DataSet(builder, split, folder)
