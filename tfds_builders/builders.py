"""The TFDS builder of every data set: `tfds build --imports tfds_builders.builders`."""

import types

from tfds_builders.segments import SegmentBuilder
from tfds_builders.sets import DATA_SETS, DataSet

# TFDS has its own builders with these names.
_NOT_REGISTERED = ("ucf101",)


def _builder_of(name: str, data_set: DataSet) -> type[SegmentBuilder]:
    def fill(body: dict[str, object]) -> None:
        body.update(name=name, __doc__=data_set.description, __module__=__name__)

    options = {"skip_registration": name in _NOT_REGISTERED}
    return types.new_class(name.title().replace("_", ""), (SegmentBuilder,), options, fill)


BUILDERS = {name: _builder_of(name, data_set) for name, data_set in DATA_SETS.items()}
