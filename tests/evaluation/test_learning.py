"""Real steps on right and on wrong captions, and their effect on retrieval."""

import functools

import jax
import numpy as np
import pytest
from small import RATE, WORDS, small_batch, small_config

from vatt_gh.evaluation.retrieval import retrieval_scores, similarities
from vatt_gh.models.vatt import MODALITIES, build_vatt
from vatt_gh.training.construct import optimizer_of
from vatt_gh.training.step import create_state, train_step

STEPS, BATCH, CLIPS = 150, 32, 60
PLACES = [(0, 0), (0, 8), (8, 0), (8, 8)]  # rows and columns of a patch


@functools.cache
def setup():
    config = small_config(
        **{
            "model.video.layers": 1,
            "model.keep_tokens": 1.0,
            **{f"model.{k}dropout_rate": 0.0 for k in ("", "attention_", "position_")},
            "harmonize.realign": False,
            "harmonize.curriculum": False,
            "data.candidates": 1,
            "train.batch_size": BATCH,
            "train.steps": STEPS,
        }
    )
    model, optimizer = build_vatt(config, words=WORDS, audio_rate=RATE), optimizer_of(config.train)
    step = functools.partial(
        train_step, model=model, optimizer=optimizer, config=config, axis_name=None
    )
    batch = scenes(config, np.random.default_rng(0), BATCH)
    sample = {m: batch[m][0] for m in MODALITIES}
    return config, model, jax.jit(step), create_state(model, optimizer, sample, seed=1)


def scenes(config, rng, size):
    """Squares in one of eight colours and four places; texts name both."""
    batch = small_batch(config, size, seed=int(rng.integers(1 << 30)))
    colour, place = rng.integers(0, 8, size), rng.integers(0, 4, size)
    batch["video"][:] = 110 + rng.integers(0, 20, batch["video"].shape)
    for k, (row, column) in enumerate(PLACES):
        here = place == k
        light = np.array([colour[here] >> bit & 1 for bit in range(3)]).T * 220
        batch["video"][here, :, row : row + 8, column : column + 8] = light[:, None, None, None]
    batch["text"][:] = 0
    batch["text"][:, 0, 0], batch["text"][:, 0, 1] = 1 + colour, 10 + place
    for name in MODALITIES:
        batch[f"{name}_mask"][:] = True
    return batch


def scores_of(state):
    config, model, _, _ = setup()
    clips = scenes(config, np.random.default_rng(7), CLIPS)
    inputs = {m: clips[m] for m in MODALITIES}
    _, embeddings = jax.jit(model.embed)(state.params, state.statistics, inputs)
    text, video = embeddings["text_to_video"][:, 0], embeddings["video_to_text"]
    return retrieval_scores(similarities(np.asarray(text), np.asarray(video)))


@functools.cache
def trained(shuffled):
    config, _, step, state = setup()
    rng = np.random.default_rng(2)
    for _ in range(STEPS):
        batch = scenes(config, rng, BATCH)
        if shuffled:
            batch["text"] = rng.permutation(batch["text"])
        state, _ = step(state, batch)
    return scores_of(state)


@pytest.mark.parametrize("measure", ["r5", "r10"])
def test_right_captions_teach_and_shuffled_ones_do_not(measure):
    untrained = scores_of(setup()[3])[measure]
    right, shuffled = trained(False)[measure], trained(True)[measure]
    by_itself = max(untrained["high"], untrained["chance"])  # ends of 95 % intervals
    assert right["low"] > by_itself
    assert shuffled["low"] <= by_itself and shuffled["value"] < by_itself + 0.05
