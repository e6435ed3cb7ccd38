"""The arrays of a batch: names, shapes, dtypes and units. Defined only here."""

from collections.abc import Mapping, Sequence

import numpy as np

# B samples, T frames, H x W pixels, S sound samples, K caption candidates, W words.
VIDEO = "video"  # [B, T, H, W, 3] uint8 levels, RGB; a single colour if missing
AUDIO = "audio"  # [B, S] float32 in [-1, 1], mono at the records' rate; zeros if missing
TEXT = "text"  # [B, K, W] int32 word ids, 0 = padding
VIDEO_MASK = "video_mask"  # [B] bool, False where a sample has only sound, or is unreadable
AUDIO_MASK = "audio_mask"  # [B] bool, False where a sample has no sound
TEXT_MASK = "text_mask"  # [B] bool, False where a sample has no caption
# [B, 4] float32: added brightness as a share of white, factors of saturation and contrast, turns of
# the hue. Applied by the training step.
COLOUR = "colour"
INDEX = "index"  # [B] int32, place of the sample in the global batch

# In fine-tuning: [B, K] float32, 1 for each of the sample's classes, else 0.
LABEL = "label"

NEUTRAL_COLOUR = (0.0, 1.0, 1.0, 0.0)  # a row of COLOUR that changes nothing

MODALITIES = (VIDEO, AUDIO, TEXT)
AUDIOVISUAL = (VIDEO, AUDIO)  # the modalities of a media file
MASKS = (VIDEO_MASK, AUDIO_MASK, TEXT_MASK)
DEVICE_KEYS = (*MODALITIES, *MASKS, COLOUR, INDEX)  # what the training step takes

# Only on the host: they identify a sample in messages and reports.
VIDEO_ID = "video_id"  # [B] bytes
START = "start"  # [B] float32, seconds in the source video
END = "end"  # [B] float32, seconds in the source video

RANKS = {
    VIDEO: 5,
    AUDIO: 2,
    TEXT: 3,
    VIDEO_MASK: 1,
    AUDIO_MASK: 1,
    TEXT_MASK: 1,
    COLOUR: 2,
    INDEX: 1,
    LABEL: 2,
}
DTYPES = {
    VIDEO: np.uint8,
    AUDIO: np.float32,
    TEXT: np.int32,
    VIDEO_MASK: np.bool_,
    AUDIO_MASK: np.bool_,
    TEXT_MASK: np.bool_,
    COLOUR: np.float32,
    INDEX: np.int32,
    LABEL: np.float32,
}


def neutral(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Completes a batch that is taken as it is: colours unchanged, places in order.

    Args:
        arrays: arrays by name, at least those of MODALITIES and MASKS.

    Returns:
        The arrays of DEVICE_KEYS.
    """
    count = len(arrays[VIDEO])
    return {
        **{name: arrays[name] for name in (*MODALITIES, *MASKS)},
        COLOUR: np.tile(np.float32(NEUTRAL_COLOUR), (count, 1)),
        INDEX: np.arange(count, dtype=np.int32),
    }


def check(batch: Mapping[str, np.ndarray], keys: Sequence[str] = DEVICE_KEYS) -> None:
    """Checks that a batch has the arrays above.

    Args:
        batch: arrays by name.
        keys: names of those that it must have, all of one length; others are not checked.

    Raises:
        ValueError: names the array that is missing or has the wrong rank, dtype or length.
    """
    first = keys[0]
    for name in keys:
        if name not in batch:
            raise ValueError(f"the batch lacks {name!r}; it holds {sorted(batch)}")
        array = batch[name]
        if array.ndim != RANKS[name] or array.dtype != DTYPES[name]:
            raise ValueError(
                f"batch[{name!r}] is {array.dtype} {array.shape}, expected "
                f"{np.dtype(DTYPES[name])} of rank {RANKS[name]}"
            )
        if len(array) != len(batch[first]):
            raise ValueError(
                f"batch[{name!r}] holds {len(array)} samples, batch[{first!r}] {len(batch[first])}"
            )
