"""Linear classification of a downstream set from frozen features, by the set's own splits."""

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from vatt_gh.evaluation import low_rank
from vatt_gh.evaluation.bootstrap import interval
from vatt_gh.evaluation.by_protocol import ByProtocol
from vatt_gh.evaluation.folds import clips_of
from vatt_gh.evaluation.held_out import HeldOut
from vatt_gh.evaluation.linear_probe import quiet_fitting
from vatt_gh.evaluation.protocols import LINEAR, PROTOCOLS

COSTS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # costs of errors: C of the support vector machine
_FOLDS = 3  # folds of the cross-validation that chooses among them


def fit_svm(features: np.ndarray, labels: np.ndarray) -> Pipeline:
    """Fits a linear support vector machine; its C is chosen on the same clips.

    Args:
        features: [N, d] float, frozen.
        labels: [N] class of each clip, any type.

    Returns:
        The classifier, behind a scaling to mean 0 and variance 1. C is the best of COSTS by
        stratified cross-validation, or 0.1 where a class has one clip alone.
    """
    svm = make_pipeline(StandardScaler(), LinearSVC(C=0.1, random_state=0))
    folds = min(_FOLDS, int(np.unique(labels, return_counts=True)[1].min()))
    with quiet_fitting():
        if folds < 2:
            return svm.fit(features, labels)
        splits = StratifiedKFold(folds, shuffle=True, random_state=0)
        search = GridSearchCV(svm, {"linearsvc__C": COSTS}, cv=splits)
        return search.fit(features, labels).best_estimator_


def svm_answers(features: np.ndarray, labels: np.ndarray, tests: np.ndarray) -> np.ndarray:
    """Classifies tests [M, d] by `fit_svm`; returns their classes [M]."""
    return fit_svm(features, labels).predict(tests)


CLASSIFIERS = {"accuracy": svm_answers, "low_rank_accuracy": low_rank.answers}


class Linear(ByProtocol):
    """Accuracy of linear classifiers on frozen features; see `evaluators.Evaluator`.

    Features of a clip are the means over its windows. A clip without the modality is neither fitted
    nor tested.
    """

    name = LINEAR
    count_key = "linear_clips"

    def run(self, weights: str, held_out: HeldOut) -> tuple[int, dict[str, dict[str, float]]]:
        """Implements `Evaluator.run`; the count is of test clips, over all folds.

        Returns:
            The count; 'accuracy' (of the support vector machine) and 'low_rank_accuracy', the mean
            over folds, with its interval and what was published, and, where there are several
            folds, the mean of each test split.

        Raises:
            UserError: a split is not there, or has too few classes.
        """
        protocol = PROTOCOLS[held_out.builder]
        names = {name for fit, test in protocol.folds for name in (*fit, test)}
        features, every, splits = held_out.labelled(weights, protocol.modality, names)
        labels = np.array([mine[0] for mine in every])
        folds = {
            fold[1]: clips_of(fold, splits, labels, held_out.builder) for fold in protocol.folds
        }
        scores = {}
        for name, classify in CLASSIFIERS.items():
            rights = {}
            for test, (fitted, tested) in folds.items():
                answers = classify(features[fitted], labels[fitted], features[tested])
                rights[test] = (answers == labels[tested]).astype(np.float64)
            chances = [_most_frequent(labels[tested]) for _, tested in folds.values()]
            scores |= _over_folds(name, rights, chances)
            scores[name] |= protocol.references(held_out.config).get(name, {})
        return sum(int(tested.sum()) for _, tested in folds.values()), scores


def _most_frequent(labels: np.ndarray) -> float:
    """Returns the share of the most frequent class."""
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def _over_folds(
    name: str, rights: dict[str, np.ndarray], chances: list[float]
) -> dict[str, dict[str, float]]:
    """Computes the mean of a score over test splits and, where there are several, of each."""
    means = [float(right.mean()) for right in rights.values()]
    whole = {"value": float(np.mean(means)), "chance": float(np.mean(chances))}
    whole |= interval(list(rights.values()))
    scores = {name: whole}
    if len(rights) > 1:
        for (test, right), mean, chance in zip(rights.items(), means, chances, strict=True):
            scores[f"{name}_{test}"] = {"value": mean, "chance": chance, **interval([right])}
    return scores
