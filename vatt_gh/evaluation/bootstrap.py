"""Confidence intervals of scores over the clips that were tested."""

from collections.abc import Callable, Sequence

import numpy as np

_DRAWS = 1_000


def interval(
    parts: Sequence[np.ndarray],
    measure: Callable[[np.ndarray], float] = np.mean,
    groups: Sequence[np.ndarray] | None = None,
) -> dict[str, float]:
    """Computes a 95 % interval of the mean over parts of a measure, by bootstrap over clips.

    Args:
        parts: one number per clip, [N], for each test split; splits are drawn independently.
        measure: statistic of these numbers.
        groups: the video of each number, [N], any type, for each test split; numbers of one video
            depend on one another, and are drawn together. None: each number by itself.

    Returns:
        {'low', 'high'}: the 2.5 and 97.5 percentiles of 1,000 draws, always the same ones.
    """
    rng = np.random.default_rng(0)
    members = [_members(group) for group in groups] if groups else [None] * len(parts)

    def drawn(part: np.ndarray, of_group: list[np.ndarray] | None) -> np.ndarray:
        if of_group is None:
            return rng.choice(part, len(part))
        chosen = rng.integers(len(of_group), size=len(of_group))
        return part[np.concatenate([of_group[k] for k in chosen])]

    draws = [
        np.mean([measure(drawn(*pair)) for pair in zip(parts, members, strict=True)])
        for _ in range(_DRAWS)
    ]
    low, high = np.percentile(draws, (2.5, 97.5))
    return {"low": float(low), "high": float(high)}


def _members(group: np.ndarray) -> list[np.ndarray]:
    """Lists the rows of each group."""
    _, number = np.unique(group, return_inverse=True)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.cumsum(np.bincount(number))[:-1])
