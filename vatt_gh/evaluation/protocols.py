"""How each downstream set is scored: its splits, its modality, and its published scores."""

import dataclasses

from ml_collections import ConfigDict

from vatt_gh.models.sizes import is_named

# Names of the evaluators that only a protocol asks for.
LINEAR, MULTI_LABEL, CLIP_RETRIEVAL = "linear", "multi_label", "clip_retrieval"
WINDOWS = 4  # windows of a clip, in the published scores
_DIFFERS = "how ours differs: docs/evaluation.md"
_TABLE_4 = f"frozen features (Akbari et al. 2021, table 4); {_DIFFERS}"
_FINETUNED = "VATT, fine-tuned after its pre-training (Akbari et al. 2021, and its code's README)"
_TABLE_8 = f"zero-shot, 4 windows averaged (Akbari et al. 2021, table 8); {_DIFFERS}"
# The paper's names of its models.
_PAPER_MODELS = {"tx_fac_mbs": "VATT-MBS", "ut_fac_medium": "VATT-MA-Medium"}
Fold = tuple[tuple[str, ...], str]  # splits to fit on, split to test


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a set is scored.

    Attributes:
        evaluator: name of the evaluator.
        modality: modality whose features are classified: 'video' or 'audio'; 'video' for retrieval.
        folds: folds of a classifier; the score is the mean over them.
        test: the split that retrieval is scored on.
        listed: number of test clips in the official lists, of all folds together; None: lists
            differ.
        finetuned: splits that a fine-tuning learns from; (): those of the fold.
        published: scores of the original, as shares and ranks: by model (see `models.sizes`), then
            by name.
        source: where the published scores stand.
        published_finetuned: the original's scores after fine-tuning, by the tower's kind, layers
            and width, then by name.
    """

    evaluator: str
    modality: str = "video"
    folds: tuple[Fold, ...] = ()
    test: str = ""
    listed: int | None = None
    finetuned: tuple[str, ...] = ()
    published: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    source: str = ""
    published_finetuned: dict[tuple[str, int, int], dict[str, float]] = dataclasses.field(
        default_factory=dict
    )

    def described(self, scores: ConfigDict) -> dict[str, str]:
        """Describes how the set is scored, in words, for the results.

        Args:
            scores: section `eval` of the configuration.
        """
        folds = "; ".join(f"{test}, fitted on {', '.join(fit)}" for fit, test in self.folds)
        words = {
            "evaluator": self.evaluator,
            "splits": folds or scores.split or self.test,
            "windows": f"{scores.windows} of a record, spread evenly",
        }
        if self.test:
            words["averaged"] = scores.average
        if self.listed and scores.split in ("", self.test):
            words["test clips in the official lists"] = f"{self.listed:,}"
        return words

    def references(self, config: ConfigDict) -> dict[str, dict[str, float | str]]:
        """Returns the paper's scores for the same set, model, split and number of windows.

        Args:
            config: the whole configuration.

        Returns:
            {'published', 'source'} by name of the score; {}: the paper reports nothing for this
            model, this split or this number of windows.
        """
        if config.eval.windows != WINDOWS or config.eval.split not in ("", self.test):
            return {}
        for model, scores in self.published.items():
            if is_named(config.model, model):
                source = f"{_PAPER_MODELS[model]}, {self.source}"
                return {n: {"published": value, "source": source} for n, value in scores.items()}
        return {}

    def finetuned_references(self, model: ConfigDict) -> dict[str, dict[str, float | str]]:
        """Returns the original's scores after fine-tuning the same tower, in `references`' form.

        Args:
            model: section `model` of the configuration.
        """
        tower = model.video if model.kind == "shared" else model[self.modality]
        scores = self.published_finetuned.get((model.kind, tower.layers, tower.d_model), {})
        return {n: {"published": value, "source": _FINETUNED} for n, value in scores.items()}


def _linear(
    modality: str,
    folds: tuple[Fold, ...],
    listed: int,
    svm: float,
    low_rank: float,
    shared: float,
) -> Protocol:
    published = {
        "tx_fac_mbs": {"accuracy": svm, "low_rank_accuracy": low_rank},
        "ut_fac_medium": {"low_rank_accuracy": shared},
    }
    return Protocol(LINEAR, modality, folds, listed=listed, published=published, source=_TABLE_4)


def _top(one: float, five: float) -> dict[str, float]:
    return {"top_1": one, "top_5": five}


def _sounds(precision: float, auc: float, d_prime: float) -> dict[str, float]:
    return {"mean_average_precision": precision, "auc": auc, "d_prime": d_prime}


def _zero_shot(r10: float, median_rank: float) -> dict[str, float]:
    return {"text_to_video_r10": r10, "text_to_video_median_rank": median_rank}


def _retrieval(test: str, listed: int, **published: dict[str, float]) -> Protocol:
    return Protocol(CLIP_RETRIEVAL, test=test, listed=listed, published=published, source=_TABLE_8)


_THREE = tuple(((f"train{n}",), f"test{n}") for n in (1, 2, 3))
_FOLD_NAMES = tuple(f"fold{n}" for n in range(1, 6))
_FIVE = tuple((tuple(p for p in _FOLD_NAMES if p != test), test) for test in _FOLD_NAMES)

PROTOCOLS = {
    "ucf101": _linear("video", _THREE, 11_214, 0.892, 0.896, 0.844),
    "hmdb51": _linear("video", _THREE, 4_590, 0.633, 0.652, 0.631),
    "kinetics400": Protocol(
        LINEAR,
        folds=((("train",), "validate"),),
        published_finetuned={
            ("three_tower", 12, 768): _top(0.796, 0.949),
            ("three_tower", 12, 1024): _top(0.811, 0.956),
            ("three_tower", 24, 1024): _top(0.821, 0.955),
            ("shared", 12, 1024): _top(0.799, 0.949),
        },
    ),
    "esc50": _linear("audio", _FIVE, 2_000, 0.825, 0.847, 0.812),
    "audioset": Protocol(
        MULTI_LABEL,
        "audio",
        folds=((("balanced_train",), "eval"),),
        listed=20_371,
        finetuned=("balanced_train", "unbalanced_train"),
        published_finetuned={
            ("three_tower", 12, 768): _sounds(0.394, 0.971, 2.895),
            ("shared", 12, 1024): _sounds(0.393, 0.970, 2.884),
        },
    ),
    "msrvtt": _retrieval("test", 2_990),
    "msrvtt_1ka": _retrieval(
        "test", 1_000, tx_fac_mbs=_zero_shot(0.297, 49), ut_fac_medium=_zero_shot(0.236, 67)
    ),
    "youcook2": _retrieval(
        "validation",
        3_492,
        tx_fac_mbs=_zero_shot(0.455, 13),
        ut_fac_medium=_zero_shot(0.406, 17),
    ),
}


def is_scored_by(builder: str, evaluator: str) -> bool:
    """Tells whether a data set's protocol names an evaluator."""
    protocol = PROTOCOLS.get(builder)
    return protocol is not None and protocol.evaluator == evaluator
