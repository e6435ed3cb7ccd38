"""A small ESC-50 whose classes are heard: noisy tones of a low, a middle and a high pitch."""

from pathlib import Path

import numpy as np
from dummy_data import table
from media_files import write_media
from small import small_config

RATE = 8_000
PITCHES = {"low": 300.0, "middle": 900.0, "high": 2400.0}  # Hz
# Steps, and the form of a model that hears pitches.
SETTINGS = {
    "mode": "finetune",
    "data.builder": "esc50",
    "data.build_audio_rate": RATE,
    "data.build_workers": 1,
    "data.build_short_side": 16,
    "data.audio_samples": 3_200,
    "data.windows_per_segment": 2,
    "data.parallel_reads": 2,
    "model.audio.input": "spectrogram",
    "model.audio.spectrogram.frame": 256,
    "model.audio.spectrogram.hop": 128,
    "model.audio.spectrogram.mel_bins": 20,
    "model.audio.spectrogram.mel_high_hz": 3_800.0,
    "model.audio.spectrogram.patch": (5, 5),
    "model.audio.spectrogram.buckets": (5, 4),
    "train.batch_size": 16,
    "model.dropout_rate": 0.0,
    "model.attention_dropout_rate": 0.0,
    "model.position_dropout_rate": 0.0,
    "train.steps": 60,
    "train.warmup_steps": 4,
    "train.learning_rates": (0.1, 0.0),
    "train.log_every": 4,
    "train.checkpoint_every": 20,
    "finetune.dropout_rate": 0.1,
    "eval.windows": 2,
    "eval.batch_size": 5,
}


def make_tones(directory: Path, *, each: int = 4, known: bool = True) -> Path:
    """Writes a data set of five folds.

    Args:
        directory: created.
        each: clips of a class in a fold.
        known: whether the labels are right; else they are drawn.

    Returns:
        The directory, for use as manual_dir.
    """
    rng = np.random.default_rng(0)
    rows = []
    time = np.arange(RATE) / RATE
    for fold in range(1, 6):
        for number, pitch in enumerate(PITCHES.values()):
            for take in range(each):
                name = f"{fold}-{number}{take}-A-0.wav"
                path = directory / "ESC-50-master" / "audio" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                phase, hertz = rng.uniform(0, 2 * np.pi), pitch * rng.uniform(0.9, 1.1)
                wave = 0.5 * np.sin(2 * np.pi * hertz * time + phase) + rng.normal(0, 0.1, RATE)
                write_media(path, sound=[(0, wave.astype("f4"))], rate=RATE)
                target = number if known else int(rng.integers(len(PITCHES)))
                rows.append((name, fold, target, list(PITCHES)[target], False, 100, "A"))
    header = "filename,fold,target,category,esc10,src_file,take"
    table(directory / "ESC-50-master" / "meta" / "esc50.csv", header, rows)
    return directory


def tones_config(folder: Path, name: str = "tones", **changes):
    """The configuration for a data set of `make_tones` in folder / name."""
    places = {
        "data.manual_dir": str(folder / name),
        "data.data_dir": str(folder / f"{name}_records"),
    }
    return small_config(**{**SETTINGS, **places, **changes})
