"""All scores of a trained model on held-out clips, beside what they would be without training."""

from contextlib import closing
from typing import Any, Protocol

import numpy as np
from ml_collections import ConfigDict

from vatt_gh.data.pipeline import captioned_clips
from vatt_gh.data.records import Source
from vatt_gh.data.text import Tokenizer
from vatt_gh.evaluation.features import Clips, Weights, embed_clips
from vatt_gh.evaluation.linear_probe import probe_accuracy
from vatt_gh.evaluation.retrieval import expected_scores, retrieval_scores, similarities
from vatt_gh.models.vatt import Vatt

Scores = dict[str, dict[str, float]]


class Known(Protocol):
    """What is known of clips whose content was planted."""

    def classes(self, video: str, start: float, end: float) -> tuple[str, str]:
        """Classes of a clip: of its picture, of its sound."""

    def similarity(self, clips: Clips) -> np.ndarray:
        """[N, N] of captions with clips, by what a caption says and a clip shows."""


def evaluate(
    model: Vatt,
    trained: Weights,
    untrained: Weights,
    source: Source,
    words: list[str],
    config: ConfigDict,
    known: Known | None = None,
) -> tuple[dict[str, Any], Clips]:
    """Scores a model: zero-shot text-to-video retrieval and, where classes are known, probes.

    Args:
        model: built without an axis name.
        trained: what is scored.
        untrained: the weights that training started from, or would have.
        source: the held-out records.
        words: the run's vocabulary.
        config: the whole configuration.
        known: of the clips; None: no probes and no ceiling.

    Returns:
        {'clips': n, 'retrieval': {...}, 'probe_clips': n, 'probe': {...}}, every score {'value',
        'chance', 'untrained': the untrained model's value on the same clips, 'ceiling': an oracle's
        that knows what captions say and clips show, where that is known}; and the queries' clips as
        the trained model sees them.
    """
    tokenizer = Tokenizer(words, config.data.words)
    # Closed at an error too: tf.data hangs where the interpreter ends before its iterators.
    with closing(captioned_clips(source, tokenizer, config)) as batches:
        both = embed_clips(model, (trained, untrained), batches, config.eval.batch_size)
    clips, untrained_clips = (every.first(config.eval.max_clips) for every in both)
    retrieval, reference = (retrieval_scores(similarity_of(c)) for c in (clips, untrained_clips))
    results = {"clips": len(clips.captions), "retrieval": _beside(retrieval, reference)}
    if known is not None:
        for name, value in expected_scores(known.similarity(clips)).items():
            retrieval[name]["ceiling"] = value
        probed = [every.first(config.eval.probe_clips or config.eval.max_clips) for every in both]
        results["probe_clips"] = len(probed[0].captions)
        results["probe"] = _beside(*(_probes(some, known) for some in probed))
    return results, clips


def _beside(scores: Scores, untrained: Scores) -> Scores:
    for name, score in scores.items():
        score["untrained"] = untrained[name]["value"]
    return scores


def _probes(clips: Clips, known: Known) -> Scores:
    where = zip(clips.video_ids, clips.start, clips.end, strict=True)
    seen, heard = np.array([known.classes(*clip) for clip in where]).T
    sound = clips.audio_mask
    return {
        "video_accuracy": probe_accuracy(clips.features["video"], seen, clips.video_ids),
        "audio_accuracy": probe_accuracy(
            clips.features["audio"][sound], heard[sound], clips.video_ids[sound]
        ),
    }


def similarity_of(clips: Clips) -> np.ndarray:
    """[N, N] cosines of every caption with every clip in the video-text space."""
    text = clips.embeddings["text_to_video"][:, 0]
    return similarities(text, clips.embeddings["video_to_text"])
