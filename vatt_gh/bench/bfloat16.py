"""How much bfloat16 activations change retrieval, for the same parameters and random clips.

The parameters are those at the start of training. To such a model random clips are far more alike
than real ones are to a trained model, so that their ranks depend on small differences.
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from scipy.stats import spearmanr

from vatt_gh import config as configuration
from vatt_gh.batch import MODALITIES
from vatt_gh.evaluation.retrieval import ranks, similarities
from vatt_gh.models.sizes import MODELS
from vatt_gh.training.construct import model_of

_WORDS = 65_536
_RATE = 48_000  # Hz
DIRECTIONS = {
    "text_to_video": ("text_to_video", "video_to_text"),
    "audio_to_video": ("audio_to_video", "video_to_audio"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this measurement's arguments to the command line."""
    parser.add_argument("--model", choices=sorted(MODELS), default="tx_fac_bbs")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--frames", type=int, default=8, help="frames of a clip")
    parser.add_argument("--size", type=int, default=112, help="height and width, in pixels")
    parser.add_argument(
        "--audio-samples", type=int, default=15_360, help="samples of sound of a clip"
    )
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures with the command line's arguments; see `compare`."""
    config = configuration.default()
    config.model.update(MODELS[arguments.model]())
    data, model = config.data, config.model
    data.frames, data.size = arguments.frames, arguments.size
    data.audio_samples, data.candidates = arguments.audio_samples, 1
    # Tables as long as the clips, as in training: no interpolation.
    lengths = (data.frames, data.size, data.size)
    model.video.buckets = tuple(n // p for n, p in zip(lengths, model.video.patch, strict=True))
    model.audio.buckets = data.audio_samples // model.audio.patch
    numbers = compare(config, words=_WORDS, clips=arguments.clips, seed=arguments.seed)
    return {"model": arguments.model, "device": jax.devices()[0].device_kind, **numbers}


def compare(config: ConfigDict, *, words: int, clips: int, seed: int) -> dict[str, Any]:
    """Embeds random clips in both number formats, and compares.

    Args:
        config: the whole configuration; its dtype is ignored.
        words: rows of the word table.
        clips: number of clips, at least 2.
        seed: seed for parameters and clips.

    Returns:
        'clips'. 'retrieval', by direction: 'same_rank', share of queries whose own clip keeps its
        rank; 'mean_rank_difference' in places; 'rank_correlation', Spearman's, of a query's
        similarities, mean over queries. 'embeddings', by name: 'largest_difference' between a
        clip's two embeddings and, for comparison, 'clip_distance', the mean distance of two clips
        in float32, both relative to an embedding's length; 'own_first', share of clips whose
        bfloat16 embedding is nearest to their own float32 embedding.
    """
    inputs = random_clips(config.data, words, clips, seed)
    found = {}
    params = statistics = None
    for dtype in ("float32", "bfloat16"):
        chosen = config.copy_and_resolve_references()
        chosen.model.dtype = dtype
        model = model_of(chosen, words=words, audio_rate=_RATE)
        if params is None:
            sample = {m: x[0] for m, x in inputs.items()}
            params, statistics = jax.jit(model.init)(jax.random.key(seed), sample)
        encode = jax.jit(
            lambda p, sample, m=model: m.towers.apply({"params": p}, sample, {}, False)
        )
        # One clip at a time, to need only one clip's memory.
        features = [
            encode(params["towers"], {m: inputs[m][i] for m in inputs}) for i in range(clips)
        ]
        batch = jax.tree.map(lambda *x: jnp.stack(x), *features)
        # Batch norm with these clips' statistics, as in training: the initial ones fit no clip.
        embeddings, _ = model.project(params["heads"], statistics, batch)
        found[dtype] = {name: np.asarray(x).reshape(clips, -1) for name, x in embeddings.items()}
    return {"clips": clips, **_compared(found["float32"], found["bfloat16"])}


def random_clips(data: ConfigDict, words: int, clips: int, seed: int) -> dict[str, np.ndarray]:
    """Draws clips that differ: changing coloured blocks, chords, random words.

    Args:
        data: section `data` of the configuration.
        words: rows of the word table.
        clips: number of clips.
        seed: seed of the draws.

    Returns:
        'video' [clips, T, H, W, 3], 'audio' [clips, S] float32 in [-1, 1], 'text' [clips, K, W].
    """
    rng = np.random.default_rng(seed)
    blocks = rng.uniform(-1, 1, (clips, 2, 4, 4, 3)).astype(np.float32)
    place = [np.arange(n) * k // n for n, k in zip((data.frames, data.size), (2, 4), strict=True)]
    video = blocks[:, place[0]][:, :, place[1]][:, :, :, place[1]]
    seconds = np.arange(data.audio_samples) / _RATE
    pitch = rng.uniform(100, 4_000, (clips, 3, 1))
    audio = np.sin(2 * np.pi * pitch * seconds).mean(axis=1).astype(np.float32)
    text = rng.integers(1, words, (clips, data.candidates, data.words)).astype(np.int32)
    return dict(zip(MODALITIES, (video, audio, text), strict=True))


def _compared(exact: dict[str, np.ndarray], near: dict[str, np.ndarray]) -> dict[str, Any]:
    retrieval = {}
    for direction, (query, clip) in DIRECTIONS.items():
        cosines, near_cosines = (similarities(x[query], x[clip]) for x in (exact, near))
        moved = np.abs(ranks(cosines) - ranks(near_cosines))
        pairs = zip(cosines, near_cosines, strict=True)
        retrieval[direction] = {
            "same_rank": float(np.mean(moved == 0)),
            "mean_rank_difference": float(moved.mean()),
            "rank_correlation": float(np.mean([spearmanr(*pair).statistic for pair in pairs])),
        }
    return {
        "retrieval": retrieval,
        "embeddings": {name: _distances(x, near[name]) for name, x in exact.items()},
    }


def _distances(exact: np.ndarray, near: np.ndarray) -> dict[str, float]:
    """Compares [clips, D] embeddings in both formats."""
    length = np.linalg.norm(exact, axis=1)
    apart = np.linalg.norm(near[:, None] - exact[None], axis=-1)  # [clip, clip]
    others = np.linalg.norm(exact[:, None] - exact[None], axis=-1)[~np.eye(len(exact), dtype=bool)]
    return {
        "largest_difference": float(np.max(np.diagonal(apart) / length)),
        "clip_distance": float(others.mean() / length.mean()),
        "own_first": float(np.mean(apart.argmin(axis=1) == np.arange(len(exact)))),
    }


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers as text."""
    lines = [f"{numbers['model']}, {numbers['clips']} random clips, {numbers['device']}"]
    for direction, scores in numbers["retrieval"].items():
        lines.append(
            f"  {direction}: {scores['same_rank']:.0%} of ranks the same, ranks move by "
            f"{scores['mean_rank_difference']:.2f} places, rank correlation "
            f"{scores['rank_correlation']:.4f}"
        )
    for name, found in numbers["embeddings"].items():
        lines.append(
            f"  {name}: differs by at most {found['largest_difference']:.3f} of its length, two "
            f"clips by {found['clip_distance']:.3f}; {found['own_first']:.0%} nearest to their own"
        )
    return "\n".join(lines)
