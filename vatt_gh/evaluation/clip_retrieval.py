"""Zero-shot retrieval of whole clips: text to video, and video to sound."""

import functools

import numpy as np

from vatt_gh.data.text import Tokenizer
from vatt_gh.errors import UserError
from vatt_gh.evaluation.by_protocol import ByProtocol
from vatt_gh.evaluation.clip_features import EmbeddedClips
from vatt_gh.evaluation.features import embed_texts
from vatt_gh.evaluation.held_out import HeldOut
from vatt_gh.evaluation.measures import Score
from vatt_gh.evaluation.protocols import CLIP_RETRIEVAL, PROTOCOLS
from vatt_gh.evaluation.retrieval import rank_scores, ranks, window_similarities


class ClipRetrieval(ByProtocol):
    """Text to video and video to sound, each clip ranked as a whole; see `evaluators.Evaluator`."""

    name = CLIP_RETRIEVAL
    count_key = "retrieval_clips"

    def run(self, weights: str, held_out: HeldOut) -> tuple[int, dict[str, Score]]:
        """Implements `Evaluator.run`.

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
        texts, wanted = zip(*pairs, strict=True)
        queries = embed_texts(
            held_out.model,
            held_out.weights[weights],
            texts,
            Tokenizer(held_out.words, held_out.config.data.words),
            held_out.config.eval.batch_size,
        )
        similarity = _similarities(queries, clips, "video_to_text", average)
        rank = ranks(similarity[:, seen], np.array(wanted))
        scores = rank_scores(rank, len(seen), "text_to_video_", np.array(wanted))
        for name, reference in protocol.references(held_out.config).items():
            scores[name] |= reference
        heard = np.flatnonzero(clips.with_modality("video") & clips.with_modality("audio"))
        if len(heard) > 1:
            pictures = clips.mean(clips.embeddings["video_to_audio"], "video")[heard]
            similarity = _similarities(pictures, clips, "audio_to_video", average)
            scores |= rank_scores(ranks(similarity[:, heard]), len(heard), "video_to_audio_")
            scores["video_to_audio_clips"] = {"value": float(len(heard))}
        return len(seen), scores


def _similarities(queries: np.ndarray, clips: EmbeddedClips, head: str, average: str) -> np.ndarray:
    """Compares queries with clips in a head's space, such as 'video_to_text': [Q, N]."""
    mean = functools.partial(clips.mean, modality=head.partition("_")[0])
    return window_similarities(queries, clips.embeddings[head], mean, average=average)
