"""Labelled clips of a downstream set: augmented windows to train on, and views to score."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.data.clips import LENGTH, NUMBER
from vatt_gh.data.frames import draw_colour
from vatt_gh.data.pipeline import endless, sample_seed, split_host
from vatt_gh.data.records import Source, read_on
from vatt_gh.data.sampling import shuffled, stored_span
from vatt_gh.data.views import three_crops, window_starts
from vatt_gh.data.windows import augmented_window, whole_windows


def labelled_batches(
    source: Source, config: ConfigDict, modality: str, *, position: int, host: int, hosts: int
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Yields endless batches; the sample at a position depends only on the seed and the position.

    Args:
        source: the records.
        config: the whole configuration.
        modality: 'video' or 'audio'.
        position: samples already yielded, over all hosts; a multiple of the batch size.
        host: number of this host.
        hosts: number of hosts; each gets its share of every global batch.

    Yields:
        The modality, its mask (False also for a sample without a class), 'label' [B, K], 'colour'
        and 'index' as in vatt_gh.batch; and, for the host, 'video_id', 'start' and 'end' [B].
    """
    classes = _class_table(source)

    def sample(place: tf.Tensor) -> dict[str, tf.Tensor]:
        record = shuffled(
            place,
            records=source.count,
            windows=config.data.windows_per_segment,
            seed=config.seed,
        )
        seed, example = sample_seed(place, config.seed), source.read(record)
        found = augmented_window(example, source, config.data, seed, modality)
        label = _label(classes, example, len(source.class_names))
        found[f"{modality}_mask"] &= tf.reduce_any(label > 0)
        return found | {names.LABEL: label, names.COLOUR: draw_colour(config.data, seed)}

    yield from map(
        split_host,
        endless(sample, [source], config, position=position, host=host, hosts=hosts),
    )


def labelled_views(
    source: Source,
    data: ConfigDict,
    modality: str,
    *,
    windows: int,
    crops: int,
    size: int,
    host: int = 0,
    hosts: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields this host's records, each in all of its views, without augmentation.

    Args:
        source: the records.
        data: section `data` of the configuration.
        modality: 'video' or 'audio'.
        windows: number of windows of a record, spread evenly in time.
        crops: 3: squares at the start, the centre and the end of each window's longer side;
            1: the one at the centre. Sound has no crops.
        size: records of a batch.
        host: number of this host.
        hosts: number of hosts.

    Yields:
        Batches of at most `size` records: the modality [B, V, ...], its mask [B] bool, 'label'
        [B, K] float32, 'video_id' [B] bytes, 'number' [B] int64, 'length' [B] int32 in frames.
    """
    span = stored_span(data.frames, source.fps / data.fps)
    classes = _class_table(source)

    def views_of(record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = source.read(record)
        firsts = window_starts(example["frame_count"], span, windows)
        found = whole_windows(example, firsts, source, data, modality)
        views, mask = found[modality], f"{modality}_mask"
        if modality == names.VIDEO:
            views = _cropped(views, data.frames, data.size, crops)
        return {
            modality: views,
            mask: found[mask][0],
            names.LABEL: _label(classes, example, len(source.class_names)),
            names.VIDEO_ID: example["video_id"],
            NUMBER: record,
            LENGTH: tf.cast(example["frame_count"], tf.int32),
        }

    records = tf.data.Dataset.range(source.count).shard(hosts, host)
    every = records.map(views_of, num_parallel_calls=data.parallel_reads)
    yield from read_on(every.batch(size).prefetch(1), [source])


def _cropped(windows: tf.Tensor, frames: int, size: int, crops: int) -> tf.Tensor:
    """Crops [W, T, h, w, 3] to [crops * W, T, size, size, 3], crop by crop as in the original."""
    flat = tf.reshape(windows, tf.concat([[-1], tf.shape(windows)[2:]], 0))
    found = three_crops(flat, size)
    if crops == 1:
        found = found[1:2]
    return tf.reshape(found, [-1, frames, size, size, 3])


def _class_table(source: Source) -> tf.lookup.StaticHashTable:
    """Makes the table from a class's name to its number."""
    numbers = tf.range(len(source.class_names), dtype=tf.int64)
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(source.class_names), numbers)
    return tf.lookup.StaticHashTable(pairs, default_value=-1)


def _label(
    table: tf.lookup.StaticHashTable, example: dict[str, tf.Tensor], classes: int
) -> tf.Tensor:
    """Returns [K] float32, 1 for each class of a record."""
    numbers = table.lookup(example["labels"])
    return tf.maximum(tf.reduce_max(tf.one_hot(numbers, classes), axis=0), 0.0)  # may be none
