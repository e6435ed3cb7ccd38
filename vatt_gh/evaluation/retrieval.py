"""Zero-shot text-to-video retrieval."""

from collections.abc import Callable

import numpy as np

from vatt_gh.config.training import EVAL
from vatt_gh.evaluation.bootstrap import interval
from vatt_gh.evaluation.features import Clips
from vatt_gh.evaluation.held_out import HeldOut
from vatt_gh.evaluation.measures import Score
from vatt_gh.evaluation.protocols import PROTOCOLS

TOP = (1, 5, 10)  # the k of recall at k


def unit(x: np.ndarray) -> np.ndarray:
    """Scales vectors [..., D] to unit length; a zero vector stays zero."""
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(norm > 0, norm, 1.0)


def similarities(text: np.ndarray, video: np.ndarray) -> np.ndarray:
    """Computes the cosines of every query with every clip.

    Args:
        text: [N, D] float32 embeddings of the queries.
        video: [M, D] float32 embeddings of the clips.

    Returns:
        [N, M] float32.
    """
    return unit(text) @ unit(video).T


def window_similarities(
    queries: np.ndarray,
    windows: np.ndarray,
    mean: Callable[[np.ndarray], np.ndarray],
    *,
    average: str,
) -> np.ndarray:
    """Computes the cosines of every query with every clip, each with several embedded windows.

    Args:
        queries: [Q, D] float32 embeddings.
        windows: [n, D] float32 embeddings.
        mean: maps [n, ...] values of windows to [N, ...] means over each clip's windows.
        average: what to average over a clip's windows: the 'embeddings', as the head returns
            them, or the 'similarities'.

    Returns:
        [Q, N] float.

    Raises:
        ValueError: `average` is neither.
    """
    if average == "embeddings":
        return similarities(queries, mean(windows))
    if average == "similarities":
        return mean(similarities(windows, queries)).T
    raise ValueError(f"average={average!r}: expected {EVAL['average'].expected()}")


def ranks(similarity: np.ndarray, wanted: np.ndarray | None = None) -> np.ndarray:
    """Ranks each query's own clip.

    Args:
        similarity: [Q, N] float, query by clip.
        wanted: [Q] int, each query's clip; None: the clip of query i is i.

    Returns:
        [Q] int64 from 1. Clips that tie with the right one rank before it, so that a model that
        cannot tell clips apart scores nothing.

    Raises:
        ValueError: a similarity is not finite.
    """
    if not np.all(np.isfinite(similarity)):
        raise ValueError("similarities must be finite; the embeddings are not")
    queries = np.arange(len(similarity))
    right = similarity[queries, queries if wanted is None else wanted][:, None]
    return np.sum(similarity >= right, axis=1)


def rank_scores(
    rank: np.ndarray, candidates: int, prefix: str = "", groups: np.ndarray | None = None
) -> dict[str, Score]:
    """Computes recall at 1, 5 and 10 and the median rank, with intervals and scores of guessing.

    Args:
        rank: [Q] int, rank of each query's own clip, from 1.
        candidates: number of ranked clips.
        prefix: prefix of the scores' names.
        groups: [Q] the video of each query, any type; None: every query has its own video.

    Returns:
        {'r1', 'r5', 'r10': share in [0, 1], 'median_rank': from 1}, each {'value', 'chance', 'low',
        'high': a 95 % interval over videos}.
    """
    scores, videos = {}, None if groups is None else [groups]
    for k in TOP:
        found = (rank <= k).astype(np.float64)
        scores[f"r{k}"] = {"value": float(found.mean()), "chance": min(1.0, k / candidates)}
        scores[f"r{k}"] |= interval([found], groups=videos)
    median = {"value": float(np.median(rank)), "chance": (candidates + 1) / 2}
    scores["median_rank"] = median | interval([rank], np.median, videos)
    return {f"{prefix}{name}": score for name, score in scores.items()}


def expected_scores(similarity: np.ndarray) -> dict[str, float]:
    """Computes the measures of `retrieval_scores`, with equally similar clips in random order.

    For an oracle that knows the meaning of queries: several clips answer the same query.

    Args:
        similarity: [N, N], query by clip; the clip of query i is i.

    Returns:
        {'r1', 'r5', 'r10': expected share, 'median_rank': median of the expected ranks}.
    """
    right = np.diagonal(similarity)[:, None]
    before, equal = np.sum(similarity > right, axis=1), np.sum(similarity == right, axis=1)
    found = {f"r{k}": np.clip((k - before) / equal, 0.0, 1.0).mean() for k in TOP}
    found["median_rank"] = np.median(before + (equal + 1) / 2)
    return {name: float(value) for name, value in found.items()}


def retrieval_scores(similarity: np.ndarray, groups: np.ndarray | None = None) -> dict[str, Score]:
    """Scores queries whose clips have their numbers; see `rank_scores`.

    Args:
        similarity: [N, N] float32, query by clip; the clip of query i is i.
        groups: see `rank_scores`.

    Returns:
        See `rank_scores`.

    Raises:
        ValueError: a similarity is not finite.
    """
    return rank_scores(ranks(similarity), len(similarity), groups=groups)


def similarity_of(clips: Clips) -> np.ndarray:
    """Computes the cosines [N, N] of every caption with every clip in the video-text space."""
    text = clips.embeddings["text_to_video"][:, 0]
    return similarities(text, clips.embeddings["video_to_text"])


class Retrieval:
    """Uses every clip's caption as a query; see `evaluators.Evaluator`."""

    name = "retrieval"
    count_key = "clips"

    def wants(self, held_out: HeldOut) -> bool:
        """Tells whether the data set has no protocol: clips are then cut at their captions."""
        return held_out.builder not in PROTOCOLS

    def run(self, weights: str, held_out: HeldOut) -> tuple[int, dict[str, Score]]:
        """Implements `Evaluator.run`; the ceiling is an oracle that knows the planted content.

        Raises:
            UserError: there is no clip.
        """
        clips = held_out.queries(weights)
        scores = retrieval_scores(similarity_of(clips), clips.video_ids)
        if held_out.known is not None:
            for name, value in expected_scores(held_out.known.similarity(clips)).items():
                scores[name]["ceiling"] = value
        return len(clips.captions), scores
