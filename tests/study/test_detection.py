"""Signals: areas of known order, and each signal against its training step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import RATE, TERMS, WORDS, small_batch, small_config

from vatt_gh.audit.signals import signals_of
from vatt_gh.loss_terms import LOSS_TERMS
from vatt_gh.losses import alignment_losses
from vatt_gh.models.vatt import MODALITIES, build_vatt
from vatt_gh.report.study import areas_over_time
from vatt_gh.study.detection import COSINES, areas
from vatt_gh.study.table import signals_to_markdown, t_interval
from vatt_gh.training.construct import optimizer_of
from vatt_gh.training.gradients import step_gradients
from vatt_gh.training.step import create_state, draw_randomness


def by_pairs(aligned, values):
    """The area by definition: how often a right sample is above a wrong one."""
    right, wrong = values[aligned], values[~aligned]
    above = right[:, None] > wrong[None], right[:, None] == wrong[None]
    return np.mean(above[0] + 0.5 * above[1])


def test_areas_are_of_one_visit_and_of_the_mean():
    rng = np.random.default_rng(0)
    aligned = rng.uniform(size=60) < 0.7
    values = aligned * 0.5 + rng.normal(size=(4, 60))
    right = {"captions": aligned, "sounds": np.ones(60, bool)}  # no sound is wrong
    rows = areas({"a": values, "b": np.zeros((4, 60))}, right)
    assert {row["planted"] for row in rows} == {"captions"}
    area = {(row["signal"], row["visits"]): row["auc"] for row in rows}
    assert area["a", 1] == pytest.approx(np.mean([by_pairs(aligned, v) for v in values]))
    assert area["a", 4] == pytest.approx(by_pairs(aligned, values.mean(axis=0)))
    assert area["b", 1] == area["b", 4] == 0.5


def case_of(cosines, **overrides):
    config = small_config(**{"model.video.layers": 1, **overrides})
    batch = small_batch(config)
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
    sample = {m: batch[m][0] for m in MODALITIES}
    state = create_state(model, optimizer_of(config.train), sample, seed=3)
    found = jax.jit(lambda s, b: signals_of(model, s, b, config, cosines))(state, batch)
    return config, batch, model, state, found


@pytest.fixture(scope="module")
def case():
    return case_of(COSINES)


def test_cosines_are_those_that_the_step_would_decide_by(case):
    config, batch, model, state, found = case
    cosines = [np.asarray(found[f"cosine {p} {a}"]) for p, a in COSINES]
    every = {tuple(np.round(values, 4).tolist()) for values in cosines}
    assert len(every) == 6
    randomness = draw_randomness(state, batch["index"], model)
    for place, attribution in (("shared", "embedding"), ("features", "anchor")):
        own = config.copy_and_resolve_references()
        own.harmonize.update(cosine_over=place, attribution=attribution, engine="vmap")
        _, _, decided, *_ = jax.jit(
            lambda s, b, own=own: step_gradients(
                model, s.params, s.statistics, b, randomness, jnp.float32(0), own, None
            )
        )(state, batch)
        np.testing.assert_allclose(
            found[f"cosine {place} {attribution}"], decided.cosine, atol=2e-5
        )


def embeddings_and_losses(batch, model, state, terms):
    """What the signals are of, with the functions that training uses."""
    randomness = draw_randomness(state, batch["index"], model)
    inputs = {m: batch[m] for m in MODALITIES}

    @jax.jit
    def embed(params):
        features = model.encode(params["towers"], inputs, randomness.keys, randomness.keep)
        return model.project(params["heads"], state.statistics, features)[0]

    embeddings = embed(state.params)
    masks = {m: batch[f"{m}_mask"] for m in MODALITIES}
    losses = alignment_losses(
        embeddings, masks, terms, kind="asymmetric_nce", temperature=0.07, axis_name=None
    )
    return embeddings, losses


def test_losses_and_similarities_are_the_batch_s(case):
    _, batch, model, state, found = case
    embeddings, losses = embeddings_and_losses(batch, model, state, TERMS)
    for name in ("audio", "text"):
        np.testing.assert_allclose(
            found[f"loss {name}"], -losses[f"video_{name}"], rtol=1e-4, atol=1e-5
        )
    for i in range(len(batch["index"])):
        video, words = embeddings["video_to_text"][i], embeddings["text_to_video"][i]
        cosines = [v @ video / np.linalg.norm(v) / np.linalg.norm(video) for v in words]
        np.testing.assert_allclose(found["similarity text"][i], max(cosines), atol=1e-5)


def test_each_loss_of_a_run_has_its_signals():
    third = {"model.head.kind": "joint", "loss.audio_text_weight": 1.0}
    _, batch, model, state, found = case_of([("shared", "embedding")], **third)
    embeddings, losses = embeddings_and_losses(batch, model, state, list(LOSS_TERMS.values()))
    assert len(found) == 1 + 2 * 3
    np.testing.assert_allclose(
        found["loss audio text"], -losses["audio_text"], rtol=1e-4, atol=1e-5
    )
    for i in range(len(batch["index"])):
        sound = embeddings["audio_to_text"][i]
        words = embeddings["text_to_audio"][i]
        cosines = [v @ sound / np.linalg.norm(v) / np.linalg.norm(sound) for v in words]
        np.testing.assert_allclose(found["similarity audio text"][i], max(cosines), atol=1e-5)


def test_table_and_picture_show_the_areas(tmp_path):
    what = {"model": "shared", "method": "plain"}
    rows = [
        {**what, "planted": planted, "signal": signal, "seed": seed, "step": step}
        | {"corpus": f"{planted}50", "visits": visits}
        | {"auc": 0.5 + 0.01 * seed + step / 1000 + 0.1 * (planted == "sounds")}
        for planted in ("captions", "sounds")
        for signal in ("loss text", "cosine shared anchor")
        for seed in (0, 2)
        for step in (0, 10, 20, 30, 40, 50, 60)
        for visits in (1, 3)
    ]
    text = signals_to_markdown(rows)
    steps = " | ".join(f"step {step}" for step in (0, 20, 30, 40, 60))
    assert text.count(f"| signal | visits | seeds | {steps} |") == 2
    # Two corpora are never mixed: what is planted in one is not in the other.
    for kind, first in (("captions", 0.51), ("sounds", 0.61)):
        start = text.index(f"## shared, {kind}50, plain: areas for planted {kind}")
        line = next(x for x in text[start:].splitlines() if x.startswith("| loss text | 3 | 2 |"))
        means = [float(cell.split(" ± ")[0]) for cell in line.strip("| ").split(" | ")[3:]]
        assert means == pytest.approx([first + step / 1000 for step in (0, 20, 30, 40, 60)])
        _, half = t_interval([first - 0.01, first + 0.01])
        assert f" ± {half:.3f} |" in line
    areas_over_time(rows, tmp_path / "auc.png")
    assert (tmp_path / "auc.png").stat().st_size > 5000
    assert signals_to_markdown([]) == ""
