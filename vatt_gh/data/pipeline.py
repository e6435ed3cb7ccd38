"""tf.data pipelines of training: endless batches."""

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.data.frames import draw_colour
from vatt_gh.data.kept import KeptWindows, kept_windows
from vatt_gh.data.records import Source, read_on
from vatt_gh.data.sampling import shuffled
from vatt_gh.data.text import Tokenizer
from vatt_gh.data.windows import training_windows

HOST_KEYS = (names.VIDEO_ID, names.START, names.END)
_ROW = "row"


def training_batches(
    sources: Sequence[Source],
    tokenizer: Tokenizer,
    config: ConfigDict,
    *,
    position: int,
    host: int,
    hosts: int,
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Yields endless batches; the sample at a position depends only on the seed and the position.

    Several data sets alternate sample by sample, each with its own epochs.

    Args:
        sources: the records of each data set.
        tokenizer: tokenizer for the captions.
        config: the whole configuration.
        position: samples already yielded, over all hosts; a multiple of the batch size.
        host: number of this host.
        hosts: number of hosts; each gets its share of every global batch.

    Yields:
        The arrays of `batch.DEVICE_KEYS` and, for the host, of `HOST_KEYS`.
    """
    global_batch = config.train.batch_size
    kept = [kept_windows(s, tokenizer, config.data) for s in sources if config.data.keep_windows]

    def sample(place: tf.Tensor) -> dict[str, tf.Tensor]:
        turns = [
            functools.partial(_kept_place, kept[number], number, len(sources), place, config)
            if kept
            else functools.partial(
                _training_sample, source, number, len(sources), place, tokenizer, config
            )
            for number, source in enumerate(sources)
        ]
        turn = tf.cast(place % len(sources), tf.int32)
        return turns[0]() if len(sources) == 1 else tf.switch_case(turn, turns)

    batches = endless(sample, sources, config, position=position, host=host, hosts=hosts)
    for step, arrays in enumerate(batches, position // global_batch):
        if kept:
            arrays = _fetched(kept, arrays, step * global_batch + host * (global_batch // hosts))
        yield split_host(arrays)


def endless(
    sample: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    sources: Sequence[Source],
    config: ConfigDict,
    *,
    position: int,
    host: int,
    hosts: int,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields a host's share of the batches of an endless stream of samples, from a position on.

    Args:
        sample: makes the sample at a place [] int64, without 'index'.
        sources: the records that it reads.
        config: the whole configuration.
        position: samples already taken, over all hosts; a multiple of the batch size.
        host: number of this host.
        hosts: number of hosts.

    Yields:
        The arrays of `sample`, and 'index', its place in the global batch; [b, ...] each.
    """
    global_batch = config.train.batch_size

    def numbered(place: tf.Tensor) -> dict[str, tf.Tensor]:
        return sample(place) | {names.INDEX: tf.cast(place % global_batch, tf.int32)}

    places = host_places(global_batch, position, host, hosts)
    samples = places.map(
        numbered, num_parallel_calls=config.data.parallel_reads, deterministic=True
    )
    batches = samples.batch(global_batch // hosts, drop_remainder=True).prefetch(2)
    yield from read_on(batches, sources)


def host_places(global_batch: int, position: int, host: int, hosts: int) -> tf.data.Dataset:
    """Lists the places in the endless stream of samples, int64, that a host takes, in order.

    Args:
        global_batch: samples of a step, of all hosts.
        position: samples already taken, over all hosts; a multiple of global_batch.
        host: number of this host.
        hosts: number of hosts; each takes its share of every batch.
    """
    local = global_batch // hosts
    steps = tf.data.Dataset.range(position // global_batch, np.iinfo(np.int64).max // global_batch)
    return steps.flat_map(
        lambda step: tf.data.Dataset.range(
            step * global_batch + host * local, step * global_batch + (host + 1) * local
        )
    )


def _training_sample(
    source: Source,
    number: int,
    sources: int,
    place: tf.Tensor,
    tokenizer: Tokenizer,
    config: ConfigDict,
) -> dict[str, tf.Tensor]:
    """Returns the sample at a place of the endless stream, where it is this source's turn."""
    record = shuffled(
        place // sources,
        records=source.count,
        windows=config.data.windows_per_segment,
        seed=config.seed + number,
    )
    seed = sample_seed(place, config.seed)
    drawn = training_windows(source.read(record), source, tokenizer, config.data, seed[None])
    sample = {name: x[0] for name, x in drawn.items()}
    return sample | {names.COLOUR: draw_colour(config.data, seed)}


def _kept_place(
    kept: KeptWindows, number: int, sources: int, place: tf.Tensor, config: ConfigDict
) -> dict[str, tf.Tensor]:
    """Returns a sample as `_training_sample` does, for kept windows: its row, not its content."""
    row = shuffled(place // sources, records=kept.count, windows=1, seed=config.seed + number)
    colour = draw_colour(config.data, sample_seed(place, config.seed))
    return {_ROW: row, names.COLOUR: colour}


def sample_seed(place: tf.Tensor, seed: int) -> tf.Tensor:
    """Derives the random seed [2] int64 of the sample at a place from the run's."""
    return tf.stack([tf.constant(seed, tf.int64), place])


def _fetched(
    kept: Sequence[KeptWindows], arrays: dict[str, np.ndarray], first: int
) -> dict[str, np.ndarray]:
    """Fetches a batch by its rows; `first` is the place of its first sample."""
    rows = arrays.pop(_ROW)
    turns = (first + np.arange(len(rows))) % len(kept)
    parts = [store.rows(rows[turns == number]) for number, store in enumerate(kept)]
    order = np.argsort(np.argsort(turns, kind="stable"), kind="stable")
    return arrays | {name: np.concatenate([p[name] for p in parts])[order] for name in parts[0]}


def split_host(
    arrays: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Splits a batch into arrays for the devices and arrays that stay on the host."""
    host = {name: arrays[name] for name in HOST_KEYS}
    return {name: x for name, x in arrays.items() if name not in host}, host
