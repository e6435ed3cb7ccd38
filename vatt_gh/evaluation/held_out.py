"""The clips that a model is scored on, and the truth about them."""

import dataclasses
import functools
from collections.abc import Collection, Mapping
from contextlib import closing
from typing import Any, Protocol

import jax
import numpy as np
from ml_collections import ConfigDict

from vatt_gh.batch import AUDIOVISUAL
from vatt_gh.data.clips import captioned_clips, clip_windows
from vatt_gh.data.records import Source
from vatt_gh.data.text import Tokenizer
from vatt_gh.errors import UserError
from vatt_gh.evaluation.clip_features import EmbeddedClips, embed_clips_whole
from vatt_gh.evaluation.features import Clips, Weights, embed_clips
from vatt_gh.media.splits import official
from vatt_gh.models.vatt import Vatt

TRAINED, UNTRAINED = "trained", "untrained"


class Known(Protocol):
    """The truth about clips with planted content."""

    def classes(self, video: str, start: float, end: float) -> tuple[str, str]:
        """Names the classes of a clip's picture and of its sound."""

    def similarity(self, clips: Clips) -> np.ndarray:
        """Computes the similarities [N, N] of captions with clips, by their planted content."""


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """The input of evaluators.

    Attributes:
        model: built without an axis name.
        weights: weights of the model by name: TRAINED, and optionally, for comparison, UNTRAINED:
            newly drawn, as for a run without init_from.
        source: the held-out records.
        words: the run's vocabulary.
        config: the whole configuration.
        known: the truth about the clips, or None.
    """

    model: Vatt
    weights: Mapping[str, Weights]
    source: Source
    words: list[str]
    config: ConfigDict
    known: Known | None = None
    _whole: dict[tuple[Any, ...], dict[str, EmbeddedClips]] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def builder(self) -> str:
        """Name of the data set."""
        return self.config.eval.builder or self.config.data.builder

    @functools.cached_property
    def clips(self) -> dict[str, Clips]:
        """All captioned clips with the model's outputs for each of the weights, read once."""
        tokenizer = Tokenizer(self.words, self.config.data.words)
        size = self.config.eval.batch_size
        # Closed on errors too: tf.data hangs if the interpreter exits before its iterators end.
        clips = captioned_clips(
            self.source,
            tokenizer,
            self.config.data,
            size=size,
            most=max(self.config.eval.max_clips, self.config.eval.probe_clips),
            host=jax.process_index(),
            hosts=jax.process_count(),
        )
        with closing(clips) as batches:
            every = embed_clips(self.model, list(self.weights.values()), batches, size)
        return dict(zip(self.weights, every, strict=True))

    def whole_clips(
        self,
        weights: str,
        split: str,
        modalities: tuple[str, ...] = AUDIOVISUAL,
        heads: bool = True,
    ) -> EmbeddedClips:
        """Embeds all clips of a split with the named weights; reads each split once.

        Args:
            weights: a name of `weights`.
            split: official name, or as it is stored.
            modalities: modalities to embed.
            heads: also keeps the heads' embeddings.

        Returns:
            The clips.

        Raises:
            UserError: there is no such split, or no clip in it.
        """
        key = split, modalities, heads
        if key not in self._whole:
            source = self.source.of_split(split)
            size = self.config.eval.batch_size
            windows = clip_windows(
                source,
                self.config.data,
                windows=self.config.eval.windows,
                size=size,
                host=jax.process_index(),
                hosts=jax.process_count(),
            )
            with closing(windows) as batches:
                every = embed_clips_whole(
                    self.model, list(self.weights.values()), batches, size, modalities, heads
                )
            self._whole[key] = dict(zip(self.weights, every, strict=True))
        return self._whole[key][weights]

    def labelled(
        self, weights: str, modality: str, splits: Collection[str]
    ) -> tuple[np.ndarray, list[list[str]], list[set[str]]]:
        """Collects features and classes of all clips with the modality, each clip once.

        Args:
            weights: a name of `weights`.
            modality: 'video' or 'audio'.
            splits: the official splits that are wanted.

        Returns:
            [N, d] float64 means over a clip's windows, and for each clip the names of its classes,
            at least one, and the official splits that it belongs to.

        Raises:
            UserError: none of the splits is there.
        """
        stored = [x for x in self.source.stored_splits() if official([x]) & set(splits)]
        if not stored:
            raise UserError(
                f"The records have none of the splits {', '.join(sorted(splits))}.",
                where=self.source.directories[0],
                expected=f"records of {self.builder}",
                todo="build the data set with its own lists",
            )
        # All at once: a split that is asked for by itself brings those it is joined with.
        clips = self.whole_clips(weights, "+".join(stored), (modality,), heads=False)
        there = clips.with_modality(modality) & np.array([bool(x) for x in clips.labels])
        features = clips.mean(clips.features[modality], modality)[there]
        kept = np.flatnonzero(there)
        where = [official([clips.splits[n]]) & set(splits) for n in kept]
        return features, [clips.labels[n] for n in kept], where

    def queries(self, weights: str) -> Clips:
        """Returns the clips whose captions are queries, with the outputs of the named weights."""
        return self.clips[weights].first(self.config.eval.max_clips)
