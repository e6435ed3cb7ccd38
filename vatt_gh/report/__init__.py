"""Pictures and pages about a run; uses only row files and arrays, not the training code."""

from vatt_gh.report.examples import RetrievalExample, retrieval_examples
from vatt_gh.report.page import ScoreRow, flatten_scores, known_references, write_index
from vatt_gh.report.plots import (
    cosine_by_truth,
    cosine_over_time,
    cost_in_signal,
    curriculum,
    loss_curves,
    scores_over_time,
)
from vatt_gh.report.rows import read_jsonl

__all__ = [
    "RetrievalExample",
    "ScoreRow",
    "cosine_by_truth",
    "cosine_over_time",
    "cost_in_signal",
    "curriculum",
    "flatten_scores",
    "known_references",
    "loss_curves",
    "read_jsonl",
    "retrieval_examples",
    "scores_over_time",
    "write_index",
]
