"""Stretched position tables and spectrograms equal the original's."""

import jax
import numpy as np
from golden.golden_set import close, golden

from vatt_gh.models.interpolate import spline_matrix
from vatt_gh.models.spectrogram import mel_magnitude, mel_matrix, normalise


def test_golden_pos_interp():
    file = golden("pos_interp")
    for label, table in file.part("in").items():
        length = int(label.split("_to_")[1])
        # The original solves in float32, which is ill-conditioned.
        close(spline_matrix(len(table), length) @ table, file[f"out|{label}"], 5e-3, label)


def test_golden_spectrogram():
    file = golden("spectrogram")
    config = file.config
    size = {"rate": config["sr"], "low_hz": config["lower"], "high_hz": config["upper"]}
    bins = len(file["mid|mel_matrix_rowsum"])
    matrix = mel_matrix(bins, config["mel_bins"], **size)
    first = next(v for k, v in file.arrays.items() if k.startswith("mid|mel_matrix_first"))
    close(matrix[: len(first)], first, 1e-4)
    close(matrix.sum(1), file["mid|mel_matrix_rowsum"], 1e-4)
    frames = {"frame": config["stft_length"], "hop": config["stft_step"]}

    @jax.vmap
    def mel_of(audio):
        return mel_magnitude(audio, mel_bins=config["mel_bins"], **size, **frames)

    mel = mel_of(file["in|audio"])
    scale = np.abs(file["mid|mel"]).max()
    close(mel, file["mid|mel"], 1e-4 * scale)
    log_mel = np.log1p(10_000.0 * np.asarray(mel))
    close(log_mel, file["out|log_mel"], 1e-3)
    close(jax.vmap(normalise)(log_mel), file["out|normalized"], 1e-4)
