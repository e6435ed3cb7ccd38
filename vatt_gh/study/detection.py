"""How well each signal detects wrong samples: areas under the ROC curve, over training.

A signal is a number per sample that should be higher if its picture, sound and words mean the same.
The same windows are visited after every checkpoint, several times in different batches, because a
contrastive loss depends on the rest of the batch. A signal is evaluated for single visits, and as
the mean over all visits.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from sklearn.metrics import roc_auc_score

from vatt_gh import batch as names
from vatt_gh.audit.signals import signals_of
from vatt_gh.data.kept import KeptWindows, kept_windows
from vatt_gh.data.sources import open_sources
from vatt_gh.data.text import Tokenizer
from vatt_gh.demo.truth import Truth
from vatt_gh.errors import UserError
from vatt_gh.evaluation.loading import load_for_evaluation
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.step import TrainState

# The cosines, by what they are taken over and by attribution.
COSINES = tuple(itertools.product(("shared", "last_block", "features"), ("embedding", "anchor")))


def measure_signals(config: ConfigDict, workdir: Path) -> list[dict[str, Any]]:
    """Measures all signals of a run at each of its checkpoints.

    Args:
        config: the run's configuration, with data directories set; study.signal_windows windows
            are visited, study.signal_visits times each.
        workdir: work directory of the run.

    Returns:
        Rows {'step', 'planted': 'captions' or 'sounds', 'signal', 'visits', 'windows', 'auc'};
        step 0 is the model before training. None for kinds of noise that are not planted: a caption
        may also belong to the scene before.

    Raises:
        UserError: there are too few kept windows, or see `load_for_evaluation`.
    """
    (source,) = open_sources(config.data)
    model, drawn, _, words, *_ = load_for_evaluation(config, workdir, source.audio_rate)
    store = kept_windows(source, Tokenizer(words, config.data.words), config.data)
    truth = Truth.load(Path(config.data.manual_dir) / "alignment.jsonl")
    find = jax.jit(lambda state, batch: signals_of(model, state, batch, config, COSINES))
    noise = {"captions": config.demo.caption_noise, "sounds": config.demo.sound_noise}
    rows = []
    with Checkpoints(workdir, config.train) as checkpoints:
        # A checkpoint of an interruption exists by chance, and other runs lack it.
        every, last = config.train.checkpoint_every, config.train.steps
        for step in (0, *(s for s in checkpoints.steps() if s % every == 0 or s == last)):
            state = checkpoints.restore(drawn, step)[0] if step else drawn
            found, right = _visited(find, state, store, truth, config)
            planted = {kind: told for kind, told in right.items() if noise[kind]}
            rows += [{"step": step, **row} for row in areas(found, planted)]
    return rows


def windows_of(config: ConfigDict) -> int:
    """Counts the windows that are visited: whole batches of study.signal_windows."""
    size = config.train.batch_size
    return config.study.signal_windows // size * size


def areas(found: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Computes the areas under the ROC curve of every signal for every kind of planted noise.

    Args:
        found: {signal: [visits, windows]}.
        right: {'captions' or 'sounds': [windows] bool, whether they belong to the picture}.

    Returns:
        Rows {'planted', 'signal', 'visits', 'windows', 'auc'}: for one visit (mean of the visits'
        areas) and for the mean of all visits. 0.5 is chance.
    """
    rows = []
    for planted, aligned in right.items():
        if aligned.all():
            continue
        for signal, values in found.items():
            single = float(np.mean([roc_auc_score(aligned, visit) for visit in values]))
            whole = float(roc_auc_score(aligned, values.mean(axis=0)))
            common = {"planted": planted, "signal": signal, "windows": len(aligned)}
            rows.append({**common, "visits": 1, "auc": single})
            if len(values) > 1:
                rows.append({**common, "visits": len(values), "auc": whole})
    return rows


def _visited(
    find: Any, state: TrainState, store: KeptWindows, truth: Truth, config: ConfigDict
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Computes the signals of all visits, and the truth, for the same windows in every run."""
    size = config.train.batch_size
    if store.count < config.study.signal_windows:
        raise UserError(
            f"There are {store.count} kept windows.",
            where=f"config.study.signal_windows = {config.study.signal_windows}",
            expected="at least that many kept windows",
            todo="set --config.study.signal_windows to fewer, or 0",
        )
    count = windows_of(config)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(store.count, count, replace=False))
    visits = []
    for _ in range(config.study.signal_visits):
        order = rng.permutation(count)
        parts = [find(state, batch) for batch in _batches(store, chosen[order], size)]
        together = jax.tree.map(lambda *x: np.concatenate(x), *parts)
        visits.append({name: values[np.argsort(order)] for name, values in together.items()})
    host = store.rows(chosen)
    where = zip(host[names.VIDEO_ID], host[names.START], host[names.END], strict=True)
    told = [truth.window(video.decode(), float(a), float(b)) for video, a, b in where]
    right = {
        "captions": np.array([window.caption_aligned for window in told]),
        "sounds": np.array([window.sound_aligned for window in told]),
    }
    return jax.tree.map(lambda *x: np.stack(x), *visits), right


def _batches(store: KeptWindows, rows: np.ndarray, size: int) -> Iterator[dict[str, np.ndarray]]:
    for first in range(0, len(rows), size):
        yield names.neutral(store.rows(rows[first : first + size]))
