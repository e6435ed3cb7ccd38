"""The clips of an evaluation, in order; each host reads its share."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.data.records import Source, read_on
from vatt_gh.data.sampling import stored_span
from vatt_gh.data.text import Tokenizer
from vatt_gh.data.views import window_starts
from vatt_gh.data.windows import window, wordless_windows

# A number by which the clips of all hosts are put in order; the windows of a record share it.
NUMBER = "number"
CAPTION, CAPTION_START, CAPTION_END = "caption", "caption_start", "caption_end"
LABELS, SAID, SPLIT, LENGTH = "labels", "said", "split", "length"
_SHUFFLED = 1_000_000  # clips that are shuffled at a time; three numbers each
_SEPARATOR = "\x1e"  # labels, and captions, of one record; ASCII's record separator


def captioned_clips(
    source: Source,
    tokenizer: Tokenizer,
    data: ConfigDict,
    *,
    size: int,
    most: int = -1,
    order: int | None = None,
    numbers: Sequence[int] | None = None,
    overlapping: bool = False,
    host: int = 0,
    hosts: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields this host's share of the clips with a caption: the window around its middle.

    A clip near the border of its segment is moved inside. Audio-only and unreadable records give
    no clip, nor does a picture that the source's selection leaves out, nor a caption whose middle
    lies behind the last frame. A caption whose middle is the border of two segments has a clip in
    each.

    Args:
        source: the records.
        tokenizer: tokenizer for the captions.
        data: section `data` of the configuration.
        size: largest number of clips in a batch.
        most: number of clips, of all hosts together; -1: all.
        order: seed of a random order; None: the order of the records.
        numbers: numbers of the wanted clips; None: all.
        overlapping: gives each caption its clip; without it, of captions whose windows overlap
            only the first has one.
        host: number of this host.
        hosts: number of hosts.

    Yields:
        Batches of at most `size` clips: 'video', 'audio', 'text' [B, 1, W] (the caption alone),
        the masks, 'caption' and 'video_id' [B] bytes, 'start' and 'end' [B] float32 in seconds,
        'caption_start' and 'caption_end' [B] float32, the caption's own, 'number' [B] int64.
    """
    data = data.copy_and_resolve_references()
    data.candidates = 1
    span = stored_span(data.frames, source.fps / data.fps)

    def places_of(record: tf.Tensor) -> tf.data.Dataset:
        example = source.read(record)
        captions = example["captions"]
        firsts, chosen = tf.numpy_function(
            lambda s, e, begin, count: _windows(
                s, e, begin, count, span, source.fps, overlapping=overlapping
            ),
            [captions["start"], captions["end"], example["start"], example["frame_count"]],
            [tf.int32, tf.int32],
            stateful=False,
        )
        firsts, chosen = tf.ensure_shape(firsts, [None]), tf.ensure_shape(chosen, [None])
        places = tf.data.Dataset.from_tensor_slices((firsts, chosen))
        # Only clips with pictures are judged.
        places = places.filter(lambda *place: example["height"] > 0)
        return places.map(lambda *place: (record, *place))

    def clip(number: tf.Tensor, place: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        record, first, caption = place
        example = source.read(record)
        only = {name: x[caption : caption + 1] for name, x in example["captions"].items()}
        found = window({**example, "captions": only}, first, source, tokenizer, data)
        said = {CAPTION: only["text"], CAPTION_START: only["start"], CAPTION_END: only["end"]}
        return found | {name: x[0] for name, x in said.items()} | {NUMBER: number}

    places = tf.data.Dataset.range(source.count).flat_map(places_of)
    places = places.take(most).enumerate()
    if numbers is not None:
        wanted = tf.constant(sorted(numbers), tf.int64)
        places = places.filter(lambda number, place: tf.reduce_any(number == wanted))
    if order is not None:
        places = places.shuffle(_SHUFFLED, seed=order)
    clips = places.shard(hosts, host).map(clip, num_parallel_calls=data.parallel_reads)
    clips = clips.filter(lambda clip: clip[names.VIDEO_MASK])  # it could be read
    yield from read_on(clips.batch(size).prefetch(2), [source])


def clip_windows(
    source: Source,
    data: ConfigDict,
    *,
    windows: int,
    size: int,
    host: int = 0,
    hosts: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields some windows of each of this host's records, spread evenly, without augmentation.

    A clip that is longer than a record has several records, with its id in each.

    Args:
        source: the records.
        data: section `data` of the configuration.
        windows: number of windows of a record.
        size: largest number of windows in a batch.
        host: number of this host.
        hosts: number of hosts.

    Yields:
        Batches of at most `size` windows: 'video' [B, T, H, W, 3] uint8, 'audio' [B, S]
        float32, their masks [B] bool, 'video_id', 'split' (as it is stored), 'labels' and 'said'
        [B] bytes (the last two for `parted`), 'start' and 'end' [B] float32 in seconds of the
        video, 'number' [B] int64, 'length' [B] int32, frames of the record.
    """
    span = stored_span(data.frames, source.fps / data.fps)
    splits = tf.constant(source.splits())

    def windows_of(record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = source.read(record)
        firsts = window_starts(example["frame_count"], span, windows)
        said = tf.strings.reduce_join(example["captions"]["text"], separator=_SEPARATOR)
        labels = tf.strings.reduce_join(example["labels"], separator=_SEPARATOR)
        same = {
            **{LABELS: labels, SAID: said, NUMBER: record, SPLIT: splits[record]},
            LENGTH: tf.cast(example["frame_count"], tf.int32),
        }
        found = wordless_windows(example, firsts, source, data)
        return found | {name: tf.fill([windows], value) for name, value in same.items()}

    records = tf.data.Dataset.range(source.count).shard(hosts, host)
    every = records.map(windows_of, num_parallel_calls=data.parallel_reads).unbatch()
    yield from read_on(every.batch(size).prefetch(2), [source])


def parted(joined: bytes) -> list[str]:
    """Splits the labels, or captions, that `clip_windows` has joined."""
    return [each for each in joined.decode("utf-8").split(_SEPARATOR) if each]


def _windows(
    starts: np.ndarray,
    ends: np.ndarray,
    begin: float,
    count: int,
    length: int,
    fps: float,
    *,
    overlapping: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first frames [n] int32 and captions [n] int32 of the windows."""
    firsts, chosen = [], []
    free_from = 0
    for caption in np.argsort(starts + ends, kind="stable"):
        middle = ((starts[caption] + ends[caption]) / 2 - begin) * fps
        first = int(np.clip(round(middle - length / 2), 0, max(count - length, 0)))
        if 0 <= middle <= count and (overlapping or first >= free_from):
            firsts.append(first)
            chosen.append(caption)
            free_from = first + length
    return np.array(firsts, np.int32), np.array(chosen, np.int32)
