"""The TFDS builder of every data set: `tfds build --imports tfds_builders.builders`."""

import types

import tensorflow_datasets as tfds

from tfds_builders.segments import SegmentBuilder
from tfds_builders.sets import DATA_SETS, DataSet

# TFDS refuses a second builder with the name of one of its own.
_OF_TFDS = frozenset(tfds.list_builders(with_community_datasets=False))


def _builder_of(name: str, data_set: DataSet) -> type[SegmentBuilder]:
    def fill(body: dict[str, object]) -> None:
        body.update(name=name, __doc__=data_set.description, __module__=__name__)

    options = {"skip_registration": name in _OF_TFDS}
    return types.new_class(name.title().replace("_", ""), (SegmentBuilder,), options, fill)


BUILDERS = {name: _builder_of(name, data_set) for name, data_set in DATA_SETS.items()}
