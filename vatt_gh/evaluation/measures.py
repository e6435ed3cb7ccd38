"""Measures of classification, such as top-k accuracy; weighted means of groups."""

import numpy as np
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

Score = dict[str, float]  # value, and where known its interval and references


def in_top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Tells whether each sample's class is among its k highest scores.

    Args:
        scores: [N, K] float, higher is likelier; logits or probabilities.
        labels: [N] int, the class of each sample.
        k: number of classes considered per sample; at most K.

    Returns:
        [N] bool. Classes that tie with the right one rank before it, so that equal scores
        for all classes give no credit.
    """
    right = np.take_along_axis(scores, np.asarray(labels)[:, None], axis=1)
    return np.sum(~(scores < right), axis=1) <= k  # what is not a number is never right


def multi_label_scores(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Computes AudioSet's scores of a multi-label classifier: means of the classes' scores.

    Args:
        scores: [N, K] float, higher is likelier; logits or probabilities.
        labels: [N, K] 0 or 1, whether the sample has the class.

    Returns:
        'mean_average_precision'; 'auc', area under the ROC curve; 'd_prime', the mean over classes
        of sqrt(2) times the standard normal quantile of the class's area; an area
        of 0 or 1 is moved inwards by half a pair of clips.

    Raises:
        ValueError: names classes without an ROC curve: those that no sample or every sample has.
    """
    labels = np.asarray(labels) > 0
    present = labels.sum(axis=0)
    constant = np.flatnonzero((present == 0) | (present == len(labels)))
    if constant.size:
        raise ValueError(f"no sample or every sample has the classes {constant.tolist()}")
    areas = np.asarray(roc_auc_score(labels, scores, average=None))
    # A class that is ranked perfectly would have an infinite d': half a pair counts as wrong.
    half = 0.5 / (present * (len(labels) - present))
    return {
        "mean_average_precision": float(average_precision_score(labels, scores)),
        "auc": float(areas.mean()),
        # The mean of the classes' d', which differs from the d' of the mean area.
        "d_prime": float(np.mean(np.sqrt(2.0) * norm.ppf(np.clip(areas, half, 1 - half)))),
    }


def group_means(
    values: np.ndarray, group: np.ndarray, weight: np.ndarray, count: int
) -> np.ndarray:
    """Computes the weighted means of the values of each group.

    Args:
        values: [n, ...] float.
        group: [n] int64, the group of each value, below `count`.
        weight: [n], weight of each value; positive.
        count: number of groups.

    Returns:
        [count, ...] float64; NaN for a group without values.
    """
    total = np.bincount(group, weight, minlength=count)
    share = (weight / total[group]).reshape(-1, *[1] * (values.ndim - 1))
    means = np.zeros((count, *values.shape[1:]))
    np.add.at(means, group, share * values)
    means[total == 0] = np.nan
    return means
