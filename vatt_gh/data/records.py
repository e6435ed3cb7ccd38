"""The records of a built data set: their positions, their content, random access to each."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from vatt_gh.data.built import open_built
from vatt_gh.data.record_index import RecordIndex, load_index
from vatt_gh.data.selection import Selection
from vatt_gh.data.shards import Shards
from vatt_gh.data.stored_windows import ReadWindows, windows_reader
from vatt_gh.data.unreadable import Unreadable
from vatt_gh.errors import UserError
from vatt_gh.media.example import exchanged
from vatt_gh.media.form import Form
from vatt_gh.media.splits import matching, official
from vatt_gh.media.storages import STORAGES

_PLACES = ("shard", "offset", "length")
# Records kept in memory: a window of a record is read right after the record itself.
_RECENT = 16


@dataclasses.dataclass(frozen=True)
class Source:
    """A built data set with all its parts.

    Attributes:
        directories: directories of the parts.
        form: how videos are stored.
        shards: shards of all records.
        recent: the bytes of a record by its number; caches the last few.
        features: TFDS features, to parse a record.
        manual_dir: folder of the originals; "": where they were.
        class_names: names of the labels' classes, in order of their numbers; empty without labels.
        windows: reads pictures and sound of a parsed record, see vatt_gh.data.stored_windows.
        selection: the stretches of videos that are used; None: all.
    """

    directories: tuple[Path, ...]
    form: Form
    shards: Shards
    recent: Callable[[int], bytes]
    features: Any
    manual_dir: str
    class_names: tuple[str, ...]
    windows: ReadWindows
    selection: Selection | None = None

    @property
    def count(self) -> int:
        """Number of records."""
        return len(self.shards.shard)

    @property
    def unreadable(self) -> Unreadable:
        """The damaged records and files found so far."""
        return self.shards.unreadable

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.form.fps

    @property
    def audio_rate(self) -> int:
        """Sound samples a second, in Hz."""
        return self.form.audio_rate

    def stored_splits(self) -> list[str]:
        """Lists the splits as they are stored, see vatt_gh.media.splits."""
        indexes = [load_index(directory) for directory in self.directories]
        return sorted({_split_of(path) for index in indexes for path in index.files})

    def splits(self) -> list[str]:
        """Lists the split of each record, as it is stored."""
        of_files = [_split_of(Path(path)) for path in self.shards.files]
        return [of_files[number] for number in self.shards.shard]

    def of_split(self, split: str) -> "Source":
        """Opens another split of the same records; see `open_source`."""
        return open_source(self.directories, self.manual_dir, split, unreadable=self.unreadable)

    def read(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads and parses a record, in a tf.data graph.

        Args:
            record: [] int64, number of the record.

        Returns:
            The example. Instead of its pictures and sound it has "record", the number by which
            `windows` finds them.
        """
        stored = STORAGES[self.form.storage].features

        def without(number: int) -> bytes:
            return exchanged(self.recent(int(number)), self.shards.blank, stored)

        serialized = tf.numpy_function(without, [record], tf.string, stateful=False)
        serialized.set_shape([])
        as_stored = {"frames": tfds.decode.SkipDecoding()} if "frames" in stored else None
        example = self.features.deserialize_example(serialized, decoders=as_stored)
        kept = {name: values for name, values in example.items() if name not in stored}
        return {**kept, "record": record}


def read_on(dataset: tf.data.Dataset, sources: Sequence[Source]) -> Iterator[dict[str, np.ndarray]]:
    """Yields the elements of a data set as numpy arrays.

    Args:
        dataset: tf.data dataset of elements.
        sources: sources that it reads.

    Yields:
        Elements.

    Raises:
        UserError: too much of a source is unreadable; TensorFlow would raise its own error.
    """
    try:
        yield from dataset.as_numpy_iterator()
    except tf.errors.OpError:
        for source in sources:
            if source.unreadable.error is not None:
                raise source.unreadable.error from None
        raise


def open_source(
    directories: Sequence[Path],
    manual_dir: str = "",
    split: str = "train",
    unreadable_share: float = 1.0,
    unreadable: Unreadable | None = None,
) -> Source:
    """Opens a built data set.

    Args:
        directories: directories of its parts; each holds dataset_info.json and shards.
        manual_dir: folder of the originals that storage 'index' reads; "": where they were.
        split: official name of the wanted split, or several joined by "+"; "": all of them.
        unreadable_share: share of the read records that may be damaged, see `Unreadable`.
        unreadable: collects damage in place of an object of its own.

    Returns:
        The source.

    Raises:
        UserError: shards do not match their index, there is no record or no such split, or the
            records are of another version.
    """
    infos = [open_built(directory) for directory in directories]
    metadata = infos[0].metadata
    if "class_names" not in metadata:
        raise UserError(
            f"The records are of version {infos[0].version}, which is no longer supported.",
            where=directories[0],
            expected="records of this version",
            todo="build them again into another data_dir",
        )
    form = Form(**{f.name: metadata.get(f.name, f.default) for f in dataclasses.fields(Form)})
    indexes = _of_split([load_index(directory) for directory in directories], split)
    files = [len(index.files) for index in indexes]
    numbers = [index.shard + sum(files[:k]) for k, index in enumerate(indexes)]
    count = sum(map(len, numbers))
    if not count:
        raise UserError(
            "The data set holds no record.",
            where=directories[0],
            expected="at least one segment of a video",
            todo="see skipped.jsonl of the build for what was left out and why",
        )
    if unreadable is None:
        unreadable = Unreadable(count, unreadable_share)
    unreadable.expect(count)
    shards = Shards(
        files=tuple(str(path) for index in indexes for path in index.files),
        shard=np.concatenate(numbers),
        offset=np.concatenate([index.offset for index in indexes]),
        length=np.concatenate([index.length for index in indexes]),
        blank=_blank(infos[0].features),
        unreadable=unreadable,
    )
    recent = functools.lru_cache(_RECENT)(shards.read)
    originals = Path(manual_dir or metadata["manual_dir"])
    return Source(
        directories=tuple(map(Path, directories)),
        form=form,
        shards=shards,
        recent=recent,
        features=infos[0].features,
        manual_dir=manual_dir,
        class_names=tuple(metadata["class_names"]),
        windows=windows_reader(form, recent, originals, shards.unreadable),
    )


def _of_split(indexes: list[RecordIndex], wanted: str) -> list[RecordIndex]:
    """Picks the records of some splits, for every part."""
    stored = {_split_of(path) for index in indexes for path in index.files}
    names: set[str] = set() if wanted else stored
    for split in wanted.split("+") if wanted and stored else ():
        names = names | set(matching(split, stored))
        if not matching(split, stored):
            raise UserError(
                f"There is no split {split!r}.",
                where=indexes[0].files[0].parent,
                expected=f"one of {', '.join(sorted(official(stored)))}, or several joined by +",
                todo="set --config.data.split (in fine-tuning finetune.split), or write data.also "
                "as BUILDER/SPLIT=DATA_DIR",
            )
    return [
        dataclasses.replace(index, **{key: getattr(index, key)[kept] for key in _PLACES})
        for index in indexes
        for kept in [np.array([_split_of(p) in names for p in index.files], bool)[index.shard]]
    ]


def _split_of(path: Path) -> str:
    return re.fullmatch(r".+-(\w+)\.tfrecord.*", path.name)[1]


def _blank(features: tfds.features.FeaturesDict) -> bytes:
    """Makes a serialized record of one frame that shows and says nothing."""

    def nothing(info: Any) -> Any:
        if isinstance(info, dict):
            return {name: nothing(part) for name, part in info.items()}
        is_text = info.dtype == tf.string and not info.shape
        return b"" if is_text else np.zeros([size or 0 for size in info.shape], info.np_dtype)

    return features.serialize_example(nothing(features.get_tensor_info()) | {"frame_count": 1})
