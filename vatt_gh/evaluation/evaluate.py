"""All scores of a trained model on held-out clips."""

from contextlib import closing
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from vatt_gh.data.pipeline import captioned_clips
from vatt_gh.data.records import Source
from vatt_gh.data.text import Tokenizer
from vatt_gh.evaluation.features import Clips, embed_clips
from vatt_gh.evaluation.linear_probe import probe_accuracy
from vatt_gh.evaluation.retrieval import retrieval_scores, similarities
from vatt_gh.models.vatt import Vatt


def evaluate(
    model: Vatt,
    params: Any,
    statistics: Any,
    source: Source,
    words: list[str],
    config: ConfigDict,
    labels_of: Any = None,
) -> tuple[dict[str, Any], Clips]:
    """Scores a model: zero-shot text-to-video retrieval and, where classes are known, probes.

    Args:
        model: built without an axis name.
        params: parameters of towers and heads.
        statistics: the heads' batch statistics.
        source: the held-out records.
        words: the run's vocabulary.
        config: the whole configuration.
        labels_of: (video_id, start s, end s) -> classes of the clip, (of its picture, of its
            sound); None: no probes.

    Returns:
        {'clips': n, 'retrieval': {...}, 'probe': {...}}, every score {'value', 'chance'}; and
        the clips with their embeddings.
    """
    tokenizer = Tokenizer(words, config.data.words)
    # Closed at an error too: tf.data hangs where the interpreter ends before its iterators.
    with closing(captioned_clips(source, tokenizer, config)) as batches:
        clips = embed_clips(model, params, statistics, batches, config.eval.batch_size)
    results: dict[str, Any] = {"clips": len(clips.captions)}
    results["retrieval"] = retrieval_scores(similarity_of(clips))
    if labels_of is not None:
        where = zip(clips.video_ids, clips.start, clips.end, strict=True)
        seen, heard = np.array([labels_of(*clip) for clip in where]).T
        sound = clips.audio_mask
        results["probe"] = {
            "video_accuracy": probe_accuracy(clips.features["video"], seen, clips.video_ids),
            "audio_accuracy": probe_accuracy(
                clips.features["audio"][sound], heard[sound], clips.video_ids[sound]
            ),
        }
    return results, clips


def similarity_of(clips: Clips) -> np.ndarray:
    """[N, N] cosines of every caption with every clip in the video-text space."""
    text = clips.embeddings["text_to_video"][:, 0]
    return similarities(text, clips.embeddings["video_to_text"])
