"""Windows of a record: picture, sound and captions of the same time. tf.data graph functions."""

from typing import Any, NamedTuple, Protocol

import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.data.frames import View, choose_view
from vatt_gh.data.sampling import (
    frame_places,
    nearest_captions,
    random_window,
    sample_places,
    stored_span,
)
from vatt_gh.data.selection import Selection
from vatt_gh.data.stored_windows import ReadWindows
from vatt_gh.data.text import Tokenizer
from vatt_gh.data.views import with_shorter_side
from vatt_gh.media.form import Form

FULL_SCALE = 32768  # full scale of stored 16-bit sound


class Stored(Protocol):
    """The source of windows: records, or segments in memory."""

    @property
    def form(self) -> Form:
        """How videos are stored."""

    @property
    def windows(self) -> ReadWindows:
        """Reads pictures and sound of an example, see vatt_gh.data.stored_windows."""

    @property
    def selection(self) -> Selection | None:
        """The stretches of videos that are used; None: all."""


def training_windows(
    example: dict[str, Any],
    source: Stored,
    tokenizer: Tokenizer,
    data: ConfigDict,
    seeds: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Reads random windows of a record, augmented; decodes its frames once for all of them.

    Args:
        example: an undecoded record.
        source: the record's source.
        tokenizer: tokenizer for the captions.
        data: config.data.
        seeds: [N, 2] int64; each decides a window's position and augmentation.

    Returns:
        The arrays of `window` for N windows: [N, ...].
    """
    span = stored_span(data.frames, source.form.fps / data.fps)

    def choose(seed: tf.Tensor) -> _Chosen:
        first = random_window(example["frame_count"], span, seed)
        return _choose(example, first, source, tokenizer, data, seed, train=True)

    if seeds.shape[0] == 1:  # a loop would cost more than the work
        chosen = _batched(choose(seeds[0]))
    else:
        kinds = _Chosen(
            first=tf.TensorSpec([], tf.int32),
            crop=tf.TensorSpec([4], tf.int32),
            mirrored=tf.TensorSpec([], tf.bool),
            words=tf.TensorSpec([data.candidates, tokenizer.length], tf.int32),
            has_text=tf.TensorSpec([], tf.bool),
        )
        chosen = tf.map_fn(choose, seeds, fn_output_signature=kinds)
    return _read(example, chosen, source, data)


def window(
    example: dict[str, Any],
    first: tf.Tensor,
    source: Stored,
    tokenizer: Tokenizer,
    data: ConfigDict,
) -> dict[str, tf.Tensor]:
    """Reads one window of a segment, not augmented: picture, sound and captions of the same time.

    Args:
        example: an undecoded record.
        first: [] int32, the window's first frame.
        source: the record's source.
        tokenizer: tokenizer for the captions.
        data: config.data.

    Returns:
        One sample's arrays of a batch, without 'index' and 'colour'.
    """
    no_seed = tf.zeros([2], tf.int64)
    chosen = _choose(example, first, source, tokenizer, data, no_seed, train=False)
    return {name: x[0] for name, x in _read(example, _batched(chosen), source, data).items()}


def wordless_windows(
    example: dict[str, Any], firsts: tf.Tensor, source: Stored, data: ConfigDict
) -> dict[str, tf.Tensor]:
    """Reads windows of a segment without captions, not augmented; decodes frames once for all.

    Args:
        example: an undecoded record.
        firsts: [N] int32, first frame of each window.
        source: the record's source.
        data: config.data.

    Returns:
        The arrays of `window` for N windows, [N, ...], but without 'text' and its mask.
    """
    count = tf.shape(firsts)[0]
    crop = _view(example, data, tf.zeros([2], tf.int64), train=False).crop
    chosen = _wordless(firsts, tf.tile(crop[None], [count, 1]), tf.zeros([count], tf.bool))
    found = _read(example, chosen, source, data)
    return {n: x for n, x in found.items() if n not in (names.TEXT, names.TEXT_MASK)}


def augmented_window(
    example: dict[str, Any], source: Stored, data: ConfigDict, seed: tf.Tensor, modality: str
) -> dict[str, tf.Tensor]:
    """Reads a random window of a record in one modality, augmented.

    Args:
        example: an undecoded record.
        source: the record's source.
        data: config.data.
        seed: [2] int64, decides position and augmentation.
        modality: 'video' or 'audio'; the other one is hardly decoded.

    Returns:
        The modality with its mask, 'video_id', 'start' and 'end', as `window` returns them.
    """
    span = stored_span(data.frames, source.form.fps / data.fps)
    first = random_window(example["frame_count"], span, seed)
    view = _view(example, data, seed, train=True)
    chosen = _wordless(first[None], view.crop[None], view.mirrored[None])
    found = _read(example, chosen, source, data, only=modality)
    return {name: found[name][0] for name in _one_modality(modality)}


def whole_windows(
    example: dict[str, Any], firsts: tf.Tensor, source: Stored, data: ConfigDict, modality: str
) -> dict[str, tf.Tensor]:
    """Reads windows of a segment in one modality, with all of their pictures, not cropped.

    Args:
        example: an undecoded record.
        firsts: [N] int32, first frame of each window.
        source: the record's source.
        data: config.data.
        modality: see `augmented_window`.

    Returns:
        The arrays of `augmented_window` for N windows; video is [N, T, h, w, 3], its shorter side
        data.size.
    """
    count, shape = tf.shape(firsts)[0], _shape(example, data)
    crop = tf.tile(tf.concat([[0, 0], shape], 0)[None], [count, 1])
    chosen = _wordless(firsts, crop, tf.zeros([count], tf.bool))
    size = with_shorter_side(shape, data.size)
    found = _read(example, chosen, source, data, only=modality, size=size)
    return {name: found[name] for name in _one_modality(modality)}


def _one_modality(modality: str) -> tuple[str, ...]:
    return (modality, f"{modality}_mask", names.VIDEO_ID, names.START, names.END)


class _Chosen(NamedTuple):
    """The choices for a window: its first frame, its view, and its captions' words."""

    first: tf.Tensor  # [] int32
    crop: tf.Tensor  # [4] int32, see View
    mirrored: tf.Tensor  # [] bool
    words: tf.Tensor  # [K, W] int32
    has_text: tf.Tensor  # [] bool


def _wordless(firsts: tf.Tensor, crops: tf.Tensor, mirrored: tf.Tensor) -> _Chosen:
    """Returns windows [N] whose captions are not wanted."""
    count = tf.shape(firsts)[0]
    return _Chosen(
        firsts, crops, mirrored, tf.zeros([count, 0, 0], tf.int32), tf.zeros([count], tf.bool)
    )


def _batched(chosen: _Chosen) -> _Chosen:
    return _Chosen(*(x[None] for x in chosen))


def _choose(
    example: dict[str, Any],
    first: tf.Tensor,
    source: Stored,
    tokenizer: Tokenizer,
    data: ConfigDict,
    seed: tf.Tensor,
    *,
    train: bool,
) -> _Chosen:
    view = _view(example, data, seed, train=train)
    captions, has_text = nearest_captions(
        _allowed_captions(example, source),
        *_times(example, first, source, data),
        candidates=data.candidates,
        reach=data.caption_reach,
    )
    return _Chosen(first, view.crop, view.mirrored, tokenizer(captions), has_text)


def _view(example: dict[str, Any], data: ConfigDict, seed: tf.Tensor, *, train: bool) -> View:
    return choose_view(_shape(example, data), data, seed, train=train)


def _shape(example: dict[str, Any], data: ConfigDict) -> tf.Tensor:
    """Returns height and width [2] int32 of a record's pictures; any where it has none."""
    shape = tf.stack([example["height"], example["width"]])
    return tf.where(example["height"] > 0, shape, [data.size, data.size])


def _allowed_captions(example: dict[str, Any], source: Stored) -> dict[str, tf.Tensor]:
    """Picks the captions whose middle is in a stretch that is used."""
    captions, selection = example["captions"], source.selection
    if selection is None:
        return captions
    middles = (captions["start"] + captions["end"]) / 2
    allowed = _allowed(selection, example["video_id"], "text", middles)
    return {name: tf.boolean_mask(values, allowed) for name, values in captions.items()}


def _allowed(selection: Selection, video: tf.Tensor, modality: str, times: tf.Tensor) -> tf.Tensor:
    """Returns [n] bool, see `Selection.allows`."""
    allowed = tf.numpy_function(
        lambda name, at: selection.allows(name, modality, at),
        [video, times],
        tf.bool,
        stateful=False,
    )
    return tf.ensure_shape(allowed, times.shape)


def _times(
    example: dict[str, Any], first: tf.Tensor, source: Stored, data: ConfigDict
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns start and end of a window, in seconds of the video."""
    start = example["start"] + tf.cast(first, tf.float32) / source.form.fps
    return start, start + data.frames / data.fps


def _read(
    example: dict[str, Any],
    chosen: _Chosen,
    source: Stored,
    data: ConfigDict,
    *,
    only: str = "",
    size: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """Reads N windows as chosen, at `size` (default: data.size squared).

    Where only one modality is wanted, one frame or one sample stands for the other.
    """
    count, first = example["frame_count"], chosen.first[:, None]
    frames = 1 if only == names.AUDIO else data.frames
    samples = 1 if only == names.VIDEO else data.audio_samples
    shown = tf.constant([data.size, data.size]) if size is None else size
    pictures, sound, there = source.windows(
        example,
        frame_places(count, first, frames, stride=source.form.fps / data.fps),
        sample_places(
            tf.cast(tf.round(example["start"] * source.form.fps), tf.int32),
            count,
            first,
            samples,
            fps=source.form.fps,
            rate=source.form.audio_rate,
        ),
        View(chosen.crop, chosen.mirrored, shown),
    )
    side = data.size if size is None else None
    pictures = tf.ensure_shape(pictures, [None, frames, side, side, 3])

    def of_all(value: tf.Tensor) -> tf.Tensor:
        return tf.fill(tf.shape(chosen.first), value)

    start, end = _times(example, chosen.first, source, data)
    has_video, has_audio = (
        of_all((example["height"] > 0) & there),
        of_all(example["has_audio"] & there),
    )
    if source.selection is not None:
        middles = (start + end) / 2
        has_video &= _allowed(source.selection, example["video_id"], "video", middles)
        has_audio &= _allowed(source.selection, example["video_id"], "audio", middles)
    return {
        names.VIDEO: pictures,
        names.AUDIO: tf.cast(sound, tf.float32) / FULL_SCALE,
        names.TEXT: chosen.words,
        names.VIDEO_MASK: has_video,
        names.AUDIO_MASK: has_audio,
        names.TEXT_MASK: chosen.has_text & there,
        names.VIDEO_ID: of_all(example["video_id"]),
        names.START: start,
        names.END: end,
    }
