"""Scores the clip of every caption of a data set, as the mean over several visits."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import jax
import numpy as np
import tree
from ml_collections import ConfigDict
from scipy.stats import rankdata

from vatt_gh import batch as names
from vatt_gh.audit.signals import label_of, signals_of
from vatt_gh.data.clips import CAPTION, CAPTION_END, CAPTION_START, NUMBER, captioned_clips
from vatt_gh.data.records import Source
from vatt_gh.data.text import Tokenizer
from vatt_gh.errors import UserError
from vatt_gh.evaluation.hosts import of_all_hosts
from vatt_gh.evaluation.loading import Loaded
from vatt_gh.loss_terms import LOSS_TERMS
from vatt_gh.training.parallel import spread
from vatt_gh.training.step import TrainState

# Measures, and the modalities that a clip needs for them; every clip has pictures and a caption.
MEASURES = {
    "cosine": (names.AUDIO,),
    **{
        f"{kind} {label_of(term)}".replace(" ", "_"): term.modalities
        for kind in ("loss", "similarity")
        for term in LOSS_TERMS.values()
    },
}
_OF_CLIP = (NUMBER, names.VIDEO_ID, names.START, names.END, names.AUDIO_MASK)
_KEPT = (*_OF_CLIP, CAPTION, CAPTION_START, CAPTION_END)


@dataclasses.dataclass(frozen=True)
class Scored:
    """The clips of a data set with their scores.

    Attributes:
        number: [n] int64, see `data.clips.captioned_clips`.
        video_ids, captions: [n] str.
        start, end: [n] float32, seconds in the video.
        caption_start, caption_end: [n] float32, the caption's own times, seconds in the video.
        measures: [n] float64 by name, NaN where a clip lacks what is compared: 'cosine' of its two
            gradients, losses, and similarities (cosines of embeddings).
        percentiles: [n] float64 by name, from 0 for the worst clip to 100 for the best; NaN as
            above.
    """

    number: np.ndarray
    video_ids: np.ndarray
    captions: np.ndarray
    start: np.ndarray
    end: np.ndarray
    caption_start: np.ndarray
    caption_end: np.ndarray
    measures: dict[str, np.ndarray]
    percentiles: dict[str, np.ndarray]


def score_clips(
    config: ConfigDict, loaded: Loaded, source: Source, states: Sequence[TrainState]
) -> list[Scored]:
    """Scores the clip of each caption.

    Each visit puts a clip into another batch, because a contrastive loss depends on the others,
    and keeps other tokens (DropToken). With several hosts the others are those of the same host.
    Windows of neighbouring captions may overlap, and may meet in a batch.

    Args:
        config: the whole configuration; audit.visits visits are made.
        loaded: the model.
        source: the records.
        states: states of the model, replicated; each sees the same batches.

    Returns:
        For each state the clips of all hosts, in the order of the records.

    Raises:
        UserError: no clip has a caption.
    """
    chosen = config.harmonize.cosine_over, config.harmonize.attribution
    find = jax.jit(lambda s, b: signals_of(loaded.model, s, b, config, [chosen]))
    visits: list[dict[str, Any]] = []
    for visit in range(config.audit.visits):
        here = [state.replace(step=state.step + visit) for state in states]
        parts = []
        for batch, count in _batches(config, loaded, source, visit):
            inputs = spread(names.neutral(batch))
            found = jax.device_get([find(state, inputs) for state in here])
            part = {name: batch[name] for name in _KEPT} | {"found": found}
            parts.append(_rows(part, np.arange(count)))
        visited = of_all_hosts(parts)
        if visited is None:
            raise UserError(
                "There is no clip with a caption.",
                where=source.directories[0],
                expected="records with captions and pictures",
                todo="audit records that were built with captions",
            )
        visits.append(visited)
    # A record may become unreadable between two visits.
    common = functools.reduce(np.intersect1d, [visited[NUMBER] for visited in visits])
    visits = [_rows(v, np.searchsorted(v[NUMBER], common)) for v in visits]
    scored = []
    for k in range(len(states)):
        found = [v["found"][k] for v in visits]
        values = {
            name: np.mean([one[name] for one in found], axis=0, dtype=np.float64)
            for name in found[0]
        }
        scored.append(_scored(visits[0], values, f"cosine {' '.join(chosen)}"))
    return scored


def clip_batches(
    config: ConfigDict, loaded: Loaded, source: Source, **options: Any
) -> Iterator[dict[str, np.ndarray]]:
    """Reads the clips of all captions, even those whose windows overlap.

    Args:
        config: the whole configuration.
        loaded: the model, for its vocabulary.
        source: the records.
        **options: see `data.clips.captioned_clips`.

    Returns:
        The batches of `data.clips.captioned_clips`.
    """
    tokenizer = Tokenizer(loaded.words, config.data.words)
    return captioned_clips(source, tokenizer, config.data, overlapping=True, **options)


def _rows(arrays: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    return tree.map_structure(lambda x: x[rows], arrays)


def _batches(
    config: ConfigDict, loaded: Loaded, source: Source, visit: int
) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Yields a visit's batches, all of one size, and how many of their clips count."""
    size, first = config.train.batch_size // jax.process_count(), None
    batches = clip_batches(
        config,
        loaded,
        source,
        size=size,
        order=config.seed + visit,
        host=jax.process_index(),
        hosts=jax.process_count(),
    )
    with closing(batches):
        for batch in batches:
            count = len(batch[NUMBER])
            # The last one is filled up with other clips: in a smaller batch a loss is smaller.
            other = batch if first is None else first
            rows = np.arange(size - count) % len(other[NUMBER])
            filled = {n: np.concatenate([x, other[n][rows]]) for n, x in batch.items()}
            if first is None:  # there is no other clip: a clip is not its own negative
                for name in names.MASKS:
                    filled[name][count:] = False
            first = other
            yield filled, count


def _scored(clips: dict[str, Any], values: dict[str, np.ndarray], cosine: str) -> Scored:
    every = np.ones(len(clips[NUMBER]), bool)
    there = dict.fromkeys(names.MODALITIES, every) | {names.AUDIO: clips[names.AUDIO_MASK]}
    measures, percentiles = {}, {}
    for name, needed in MEASURES.items():
        signal = values.get(cosine if name == "cosine" else name.replace("_", " "))
        if signal is None:  # the run has no such loss
            continue
        mask = np.all([there[m] for m in needed], axis=0)
        percentiles[name] = _percentiles(np.where(mask, signal, np.nan))
        # A signal is higher for better samples, a loss lower.
        measures[name] = np.where(mask, -signal if name.startswith("loss") else signal, np.nan)
    text = {
        name: np.array([x.decode("utf-8") for x in clips[name]], object)
        for name in (names.VIDEO_ID, CAPTION)
    }
    return Scored(
        number=clips[NUMBER],
        video_ids=text[names.VIDEO_ID],
        captions=text[CAPTION],
        start=clips[names.START],
        end=clips[names.END],
        caption_start=clips[CAPTION_START],
        caption_end=clips[CAPTION_END],
        measures=measures,
        percentiles=percentiles,
    )


def _percentiles(signal: np.ndarray) -> np.ndarray:
    """Ranks values from 0 to 100; equal values share their rank, NaN stays NaN."""
    there = np.isfinite(signal)
    found = np.full(len(signal), np.nan)
    found[there] = (rankdata(signal[there]) - 1) / max(there.sum() - 1, 1) * 100
    return found
