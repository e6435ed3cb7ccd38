"""The clips that a model is scored on, and what is known of them."""

import dataclasses
import functools
from collections.abc import Mapping
from contextlib import closing
from typing import Protocol

import numpy as np
from ml_collections import ConfigDict

from vatt_gh.data.pipeline import captioned_clips
from vatt_gh.data.records import Source
from vatt_gh.data.text import Tokenizer
from vatt_gh.evaluation.features import Clips, Weights, embed_clips
from vatt_gh.models.vatt import Vatt

TRAINED, UNTRAINED = "trained", "untrained"


class Known(Protocol):
    """What is known of clips whose content was planted."""

    def classes(self, video: str, start: float, end: float) -> tuple[str, str]:
        """Classes of a clip: of its picture, of its sound."""

    def similarity(self, clips: Clips) -> np.ndarray:
        """[N, N] of captions with clips, by what a caption says and a clip shows."""


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What evaluators are given.

    Attributes:
        model: built without an axis name.
        weights: of the model, by name: TRAINED, and UNTRAINED where that is to stand beside: those
            that training started from, or would have.
        source: the held-out records.
        words: the run's vocabulary.
        config: the whole configuration.
        known: of the clips, or None.
    """

    model: Vatt
    weights: Mapping[str, Weights]
    source: Source
    words: list[str]
    config: ConfigDict
    known: Known | None = None

    @functools.cached_property
    def clips(self) -> dict[str, Clips]:
        """All captioned clips as the model sees them with each of the weights, read once."""
        tokenizer = Tokenizer(self.words, self.config.data.words)
        size = self.config.eval.batch_size
        # Closed at an error too: tf.data hangs where the interpreter ends before its iterators.
        with closing(captioned_clips(self.source, tokenizer, self.config)) as batches:
            every = embed_clips(self.model, list(self.weights.values()), batches, size)
        return dict(zip(self.weights, every, strict=True))

    def queries(self, weights: str) -> Clips:
        """The clips whose captions are queries, as the named weights see them."""
        return self.clips[weights].first(self.config.eval.max_clips)
