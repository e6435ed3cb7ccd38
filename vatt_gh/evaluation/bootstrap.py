"""Confidence intervals of scores over the clips that were tested."""

from collections.abc import Callable, Sequence

import numpy as np

DRAWS = 1_000


def interval(
    parts: Sequence[np.ndarray], measure: Callable[[np.ndarray], float] = np.mean
) -> dict[str, float]:
    """A 95 % interval of the mean over parts of a measure, by bootstrap over clips.

    Args:
        parts: of each test split one number a clip, [N]; splits are drawn independently.
        measure: statistic of these numbers.

    Returns:
        {'low', 'high'}: the 2.5 and 97.5 percentiles of 1,000 draws, always the same ones.
    """
    rng = np.random.default_rng(0)
    draws = [
        np.mean([measure(rng.choice(part, len(part))) for part in parts]) for _ in range(DRAWS)
    ]
    low, high = np.percentile(draws, (2.5, 97.5))
    return {"low": float(low), "high": float(high)}
