"""Zero-shot retrieval of whole clips: text to video, and video to sound."""

import numpy as np
import tensorflow as tf

from vatt_gh.data.text import Tokenizer
from vatt_gh.errors import UserError
from vatt_gh.evaluation.bootstrap import interval
from vatt_gh.evaluation.clip_features import EmbeddedClips
from vatt_gh.evaluation.features import embed_batch
from vatt_gh.evaluation.held_out import HeldOut
from vatt_gh.evaluation.protocols import PROTOCOLS
from vatt_gh.evaluation.retrieval import unit

Score = dict[str, float]
TOP = (1, 5, 10)


def rank_scores(rank: np.ndarray, candidates: int) -> dict[str, Score]:
    """Recall at 1, 5 and 10, and the median rank, with intervals and what guessing gives.

    Args:
        rank: [Q] int, rank of each query's own clip, from 1.
        candidates: clips that are ranked.

    Returns:
        {'r1', 'r5', 'r10', 'median_rank'}, each {'value', 'chance', 'low', 'high'}.
    """
    scores = {}
    for k in TOP:
        found = (rank <= k).astype(np.float64)
        chance = min(1.0, k / candidates)
        scores[f"r{k}"] = {"value": float(found.mean()), "chance": chance, **interval([found])}
    median = {"value": float(np.median(rank)), "chance": (candidates + 1) / 2}
    scores["median_rank"] = median | interval([rank], np.median)
    return scores


def ranks_of(similarity: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Rank of each query's own clip; clips as similar as that one count as before it.

    Args:
        similarity: [Q, N] float.
        own: [Q] int, each query's clip.

    Returns:
        [Q] int64 from 1.

    Raises:
        ValueError: a similarity is not a number.
    """
    if not np.all(np.isfinite(similarity)):
        raise ValueError("similarities must be finite; the embeddings are not")
    right = similarity[np.arange(len(own)), own][:, None]
    return np.sum(similarity >= right, axis=1)


def clip_similarities(
    queries: np.ndarray, windows: np.ndarray, clips: EmbeddedClips, average: str, modality: str
) -> np.ndarray:
    """Cosines of queries with clips that have several windows.

    Args:
        queries: [Q, D] float32.
        windows: [n, D] float32, embeddings of the clips' windows.
        clips: which window belongs to which clip.
        average: what is averaged over the windows of a clip: its 'embeddings', as they come from
            the head, or the 'similarities'.
        modality: of the windows.

    Returns:
        [Q, N] float64; NaN for clips without the modality.

    Raises:
        ValueError: `average` is neither.
    """
    if average == "embeddings":
        return unit(queries) @ unit(clips.mean(windows, modality)).T
    if average == "similarities":
        return clips.mean(unit(windows) @ unit(queries).T, modality).T
    raise ValueError(f"average is 'embeddings' or 'similarities', not {average!r}")


class ClipRetrieval:
    """Text to video and video to sound, each clip ranked as a whole; see `evaluators.Evaluator`."""

    count_key = "retrieval_clips"

    def wants(self, held_out: HeldOut) -> bool:
        """Where the data set's protocol is this one."""
        protocol = PROTOCOLS.get(held_out.builder)
        return protocol is not None and protocol.evaluator == "clip_retrieval"

    def run(self, weights: str, held_out: HeldOut) -> tuple[int, dict[str, Score]]:
        """See `evaluators.Evaluator`.

        Every caption is a query for its clip among all clips with pictures; every such clip with
        sound is a query for its sound among all of these.

        Raises:
            UserError: no clip has a caption.
        """
        protocol, average = PROTOCOLS[held_out.builder], held_out.config.eval.average
        split = held_out.config.eval.split or protocol.test
        clips = held_out.whole_clips(weights, split)
        seen = np.flatnonzero(clips.with_modality("video"))
        place = {number: n for n, number in enumerate(seen)}
        pairs = [(text, place[n]) for n in seen for text in clips.said[n]]
        if not pairs:
            raise UserError(
                "There is no query: no clip with pictures has a caption.",
                where=f"the records of {held_out.builder}, split {split}",
                expected="clips with captions",
                todo="give another --config.eval.split",
            )
        texts, own = zip(*pairs, strict=True)
        queries = self._embedded(list(texts), weights, held_out)
        windows = clips.embeddings["video_to_text"]
        similarity = clip_similarities(queries, windows, clips, average, "video")[:, seen]
        scores = _named(
            "text_to_video", rank_scores(ranks_of(similarity, np.array(own)), len(seen))
        )
        for name, value in protocol.published.items():
            scores[f"text_to_video_{name}"] |= {"published": value, "source": protocol.source}
        heard = np.flatnonzero(clips.with_modality("video") & clips.with_modality("audio"))
        if len(heard) > 1:
            pictures = clips.mean(clips.embeddings["video_to_audio"], "video")[heard]
            sounds = clips.embeddings["audio_to_video"]
            similarity = clip_similarities(pictures, sounds, clips, average, "audio")[:, heard]
            rank = ranks_of(similarity, np.arange(len(heard)))
            scores |= _named("video_to_audio", rank_scores(rank, len(heard)))
        return len(seen), scores

    def _embedded(self, texts: list[str], weights: str, held_out: HeldOut) -> np.ndarray:
        """[Q, D] embeddings of captions."""
        config, size = held_out.config, held_out.config.eval.batch_size
        ids = Tokenizer(held_out.words, config.data.words)(tf.constant(texts)).numpy()[:, None]
        parts = [
            embed_batch(
                held_out.model,
                held_out.weights[weights],
                {"text": ids[first : first + size]},
                size,
            )[1]["text_to_video"][:, 0]
            for first in range(0, len(ids), size)
        ]
        return np.concatenate(parts)


def _named(prefix: str, scores: dict[str, Score]) -> dict[str, Score]:
    return {f"{prefix}_{name}": score for name, score in scores.items()}
