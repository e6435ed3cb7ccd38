"""Retrieval over windows, top-k accuracy and multi-label scores equal the original's."""

import numpy as np
from golden.golden_set import close, golden

from vatt_gh.evaluation.measures import in_top_k, multi_label_scores
from vatt_gh.evaluation.retrieval import retrieval_scores, window_similarities

TOLERANCE = 1e-5
MEASURES = {"R1": "r1", "R5": "r5", "R10": "r10", "MedianRank": "median_rank"}


def mean_over(windows):
    return lambda x: x.reshape(-1, windows, *x.shape[1:]).mean(axis=1)


def test_golden_measures():
    """Retrieval.

    For ONE window the original does not normalise embeddings, unlike for several. Our cosines are
    the same with or without windows. Scaled by the vectors' lengths they equal its numbers, and
    its ranks are those of the scaled ones.
    """
    file = golden("measures")
    text, video = file["in|embd"], file["in|video_embd"]
    windows = file.config["n_windows"]
    for average, label in (("embeddings", "avg_embd"), ("similarities", "avg_sim")):
        similarity = window_similarities(text, video, mean_over(windows), average=average)
        compare(similarity, f"out|{label}")
        first = video.reshape(len(text), windows, -1)[:, 0]
        similarity = window_similarities(text, first, mean_over(1), average=average)
        if average == "embeddings":
            similarity = similarity * np.outer(*(np.linalg.norm(x, axis=1) for x in (text, first)))
        compare(similarity, f"out|one_window_{label}")


def compare(similarity, prefix):
    file = golden("measures")
    close(similarity, file[f"{prefix}|sim"], TOLERANCE, prefix)
    scores = retrieval_scores(similarity)
    for theirs, ours in MEASURES.items():
        close(scores[ours]["value"], file[f"{prefix}|{theirs}"], TOLERANCE, f"{prefix} {theirs}")


def test_golden_measures_of_classifiers():
    file = golden("measures")
    labels = file["in|cls_gt"][:, 0]
    for k in (1, 5):
        accuracy = np.mean(in_top_k(file["in|cls_pred"], labels, k))
        close(accuracy, file[f"out|acc|top{k}"], TOLERANCE)
    scores = multi_label_scores(file["in|ml_pred"], file["in|ml_gt"])
    for theirs, ours in (("mAP", "mean_average_precision"), ("AUC", "auc"), ("d-prime", "d_prime")):
        close(scores[ours], file[f"out|ml|{theirs}"], TOLERANCE, theirs)
