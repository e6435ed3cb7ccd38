"""A step of fine-tuning: against loops over samples, on one device and on four."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import RATE, WORDS, small_config
from training.same import assert_same_on_all_devices

from vatt_gh.finetuning.step import (
    create_classifier_state,
    finetune_step,
    mixed,
    sgd_of,
    smoothed,
)
from vatt_gh.models.classifier import build_classifier
from vatt_gh.training.construct import model_of
from vatt_gh.training.parallel import (
    AXIS,
    parallel_step,
    replicate,
    split,
)

CLASSES = 5


def made(modality="video", multi_label=False, kind="three_tower", **changes):
    """Configuration, classifier, optimizer, first state and the step's arguments."""
    config = small_config(
        kind, **{"finetune.dropout_rate": 0.0, "train.learning_rates": (0.1, 0.0), **changes}
    )
    model = build_classifier(
        config.model,
        modality,
        classes=CLASSES,
        audio_rate=RATE,
        multi_label=multi_label,
        dropout_rate=config.finetune.dropout_rate,
        freeze_backbone=config.finetune.freeze,
    )
    optimizer = sgd_of(config.train, config.finetune)
    clip = batch_of(config, modality)[modality][0]
    options = {
        "model": model,
        "optimizer": optimizer,
        "tokens": model_of(config, words=WORDS, audio_rate=RATE),
        "modality": modality,
        "config": config,
    }
    return config, create_classifier_state(model, optimizer, clip, 0), options


def batch_of(config, modality, size=8, seed=0, labels=1):
    """Random clips; the third one is not there."""
    rng = np.random.default_rng(seed)
    data = config.data
    clips = {
        "video": rng.integers(0, 256, (size, data.frames, data.size, data.size, 3), np.uint8),
        "audio": rng.uniform(-1, 1, (size, data.audio_samples)).astype(np.float32),
    }
    label = np.zeros((size, CLASSES), np.float32)
    for row in label:
        row[rng.choice(CLASSES, labels, replace=False)] = 1
    mask = np.ones(size, bool)
    mask[2] = False
    label[2] = 0
    return {
        modality: clips[modality],
        f"{modality}_mask": mask,
        "label": label,
        "colour": np.tile(np.array([0, 1, 1, 0], np.float32), (size, 1)),
        "index": np.arange(size, dtype=np.int32),
    }


def stepped(state, batch, options):
    step = functools.partial(finetune_step, **options, axis_name=None)
    return jax.device_get(jax.jit(step)(state, batch))


NO_CHANCE = {
    "model.dropout_rate": 0.0,
    "model.attention_dropout_rate": 0.0,
    "model.position_dropout_rate": 0.0,
    "model.keep_tokens": 1.0,
    "train.warmup_steps": 0,
}


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_a_step_is_the_mean_gradient_over_single_clips(clip):
    config, state, options = made(**NO_CHANCE, **{"finetune.clip": clip})
    batch = batch_of(config, "video")
    new, output = stepped(state, batch, options)
    model = options["model"]

    def loss(params, video, label):
        logits = model.apply({"params": params}, video / 127.5 - 1.0, None, True)
        target = 0.9 * label + 0.1 / CLASSES
        return jnp.sum(target * (jax.nn.logsumexp(logits) - logits))

    rows = [n for n in range(8) if batch["video_mask"][n]]
    alone = jax.jit(jax.value_and_grad(loss))
    found = [
        alone(state.params, batch["video"][n].astype(np.float32), batch["label"][n]) for n in rows
    ]
    mean = jax.tree.map(lambda *g: np.mean(g, axis=0), *[g for _, g in found])
    assert output.metrics["loss"] == pytest.approx(np.mean([v for v, _ in found]), rel=1e-4)
    length = np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(mean["backbone"])))
    assert length > 0.01
    scale = min(1.0, clip / length) if clip else 1.0
    for part, factor in (("backbone", scale), ("classifier", 1.0)):
        expected = jax.tree.map(lambda p, g: p - 0.1 * factor * g, state.params[part], mean[part])  # noqa: B023
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-6),
            new.params[part],
            expected,
        )


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_one_and_four_devices_give_the_same_update(modality):
    config, state, options = made(
        modality, modality == "audio", **{"finetune.mixup": 2.0, "train.warmup_steps": 0}
    )
    batch = batch_of(config, modality, labels=2 if modality == "audio" else 1)
    one, single = stepped(state, batch, options)
    step = functools.partial(finetune_step, **options, axis_name=AXIS)
    four, several = parallel_step(step)(replicate(jax.device_get(state)), split(batch))
    assert_same_on_all_devices(four)
    for name, value in single.metrics.items():
        np.testing.assert_allclose(several.metrics[name], value, rtol=1e-4, atol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
        jax.device_get(four.params),
        one.params,
    )
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), one.params, state.params)
    assert min(jax.tree.leaves(moved)) > 0


def test_a_frozen_tower_stays_and_its_layer_learns():
    config, state, options = made(**{"finetune.freeze": True, "train.warmup_steps": 0})
    new, _ = stepped(state, batch_of(config, "video"), options)
    jax.tree.map(np.testing.assert_array_equal, new.params["backbone"], state.params["backbone"])
    assert np.any(new.params["classifier"]["kernel"] != state.params["classifier"]["kernel"])


def test_a_step_without_a_readable_clip_changes_nothing():
    config, state, options = made(**{"train.warmup_steps": 0})
    batch = batch_of(config, "video")
    batch["video_mask"][:] = False
    new, output = stepped(state, batch, options)
    jax.tree.map(np.testing.assert_array_equal, new.params, state.params)
    jax.tree.map(np.testing.assert_array_equal, new.opt_state, state.opt_state)
    assert (new.step, new.empty_steps, output.metrics["loss"]) == (1, 1, 0)


def test_steps_on_the_same_clips_learn_them():
    config, state, options = made(**NO_CHANCE, **{"finetune.label_smoothing": 0.0})
    batch = batch_of(config, "video")
    step = jax.jit(functools.partial(finetune_step, **options, axis_name=None))
    losses = []
    for _ in range(30):
        state, output = step(state, batch)
        losses.append(float(output.metrics["loss"]))
    assert losses[-1] < 0.3 * losses[0] and output.metrics["accuracy"] == 1


def test_smoothed_labels_are_distributions():
    labels = jnp.asarray(np.eye(4, dtype=np.float32)[[0, 3]])
    np.testing.assert_allclose(smoothed(labels, 0.1)[0], [0.925, 0.025, 0.025, 0.025], rtol=1e-6)
    np.testing.assert_array_equal(smoothed(labels, 0.0), labels)
    np.testing.assert_array_equal(smoothed(jnp.zeros((1, 4)), 0.1), np.zeros((1, 4)))


@pytest.mark.parametrize("seed", range(3))
def test_mixup_mixes_each_clip_with_one_other_by_its_own_weight(seed):
    rng = np.random.default_rng(seed)
    clips = rng.normal(size=(64, 6)).astype(np.float32)
    targets = np.eye(64, dtype=np.float32)  # shows who was mixed with whom
    mask = rng.uniform(size=64) < 0.8
    key = jax.random.key(seed)
    new, labels = jax.device_get(mixed(clips, targets, mask, np.arange(64), key, 5.0, None))
    np.testing.assert_allclose(new, labels @ clips, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
    own = np.diag(labels)
    partners = [np.flatnonzero(row * (np.arange(64) != n) > 0) for n, row in enumerate(labels)]
    assert all(len(p) <= 1 and mask[p].all() for p in partners)
    shares = np.array([o for o, p in zip(own, partners, strict=True) if len(p)])
    assert len(shares) > 30 and len(np.unique(shares)) == len(shares)
    # Beta(5, 5) has mean 1/2 and standard deviation 0.15.
    assert abs(shares.mean() - 0.5) < 0.1 and 0.08 < shares.std() < 0.25


def test_a_clip_that_is_not_there_counts_in_no_class():
    """With mixup too: its partner's class would make that class less rare."""
    _, state, options = made("audio", True, **{**NO_CHANCE, "finetune.mixup": 2.0})
    batch = batch_of(options["config"], "audio", labels=2)
    there = batch["audio_mask"]
    _, output = stepped(state, batch, options)
    other = {**batch, "audio": batch["audio"] * np.where(there, 1, 7)[:, None].astype(np.float32)}
    _, same = stepped(state, other, options)
    np.testing.assert_allclose(output.samples["loss"], same.samples["loss"], rtol=1e-5)
    assert not output.samples["loss"][2] and output.samples["loss"][there].all()
