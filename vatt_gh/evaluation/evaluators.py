"""All evaluators by name, and the scores of a model next to those of the untrained one."""

from typing import Any, Protocol

from vatt_gh.evaluation.clip_retrieval import ClipRetrieval
from vatt_gh.evaluation.held_out import TRAINED, UNTRAINED, HeldOut
from vatt_gh.evaluation.linear import Linear
from vatt_gh.evaluation.linear_probe import Probe
from vatt_gh.evaluation.measures import Score
from vatt_gh.evaluation.multi_label import MultiLabel
from vatt_gh.evaluation.retrieval import Retrieval

ENDS = ("low", "high")  # the ends of an interval


class Evaluator(Protocol):
    """Scores a model in one way.

    Attributes:
        name: name of the group of its scores.
        count_key: name in results.json of the number of clips used.
    """

    name: str
    count_key: str

    def wants(self, held_out: HeldOut) -> bool:
        """Tells whether these records have the needed data."""

    def run(self, weights: str, held_out: HeldOut) -> tuple[int, dict[str, Score]]:
        """Scores the model with the named weights of `held_out`.

        Returns:
            Number of clips used, and by name {'value', 'chance': score of guessing, and 'ceiling':
            score of an oracle, where known}.
        """


# A new evaluator is added here.
_ALL: tuple[Evaluator, ...] = (Retrieval(), Probe(), ClipRetrieval(), Linear(), MultiLabel())
EVALUATORS = {evaluator.name: evaluator for evaluator in _ALL}


def evaluate(held_out: HeldOut) -> dict[str, Any]:
    """Scores a model in every way that its records allow.

    Args:
        held_out: the model and the clips.

    Returns:
        For each evaluator that wants these records, its count and {name: score}; each score with
        'untrained', the untrained model's value on the same clips, if its weights are given, and
        the ends of that one's interval, 'untrained_low' and 'untrained_high'.
    """
    results: dict[str, Any] = {}
    for name, evaluator in EVALUATORS.items():
        if not evaluator.wants(held_out):
            continue
        results[evaluator.count_key], scores = evaluator.run(TRAINED, held_out)
        if UNTRAINED in held_out.weights:
            _, reference = evaluator.run(UNTRAINED, held_out)
            for key, score in scores.items():
                score["untrained"] = reference[key]["value"]
                score |= {f"untrained_{k}": reference[key][k] for k in ENDS if k in reference[key]}
        results[name] = scores
    return results
