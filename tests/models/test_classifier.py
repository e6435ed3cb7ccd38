"""Classifiers built from a configuration, and their losses on several devices."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import RATE, small_batch, small_config

from vatt_gh.losses import weighted_sigmoid_loss
from vatt_gh.models.classifier import average_views, build_classifier

CLASSES = 5


def classifier(kind="three_tower", modality="audio", **options):
    options = {"multi_label": modality == "audio", "dropout_rate": 0.0, **options}
    config = small_config(kind, **{"model.audio.layers": 1})
    module = build_classifier(config.model, modality, classes=CLASSES, audio_rate=RATE, **options)
    return module, jnp.asarray(small_batch(config)[modality][0])


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_the_tower_of_a_shared_encoder_has_its_projections(modality):
    parts = {}
    for kind in ("three_tower", "shared"):
        module, clip = classifier(kind, modality)
        shapes = jax.eval_shape(lambda m=module, x=clip: m.init(jax.random.key(0), x, None, False))
        backbone = shapes["params"]["backbone"]
        parts[kind] = (
            "pre_proj" in backbone["tokens"],
            "post_proj" in backbone,
            shapes["params"]["classifier"]["kernel"].shape,
        )
    config = small_config()
    width = config.model[modality].d_model
    assert parts["three_tower"] == (False, False, (width, CLASSES))
    assert parts["shared"] == (True, True, (config.model.d_post_proj, CLASSES))


def test_a_frozen_tower_gets_no_gradient_and_sound_starts_at_rare_classes():
    module, clip = classifier(freeze_backbone=True)
    params = jax.jit(lambda: module.init(jax.random.key(0), clip, None, False))()["params"]
    np.testing.assert_allclose(params["classifier"]["bias"], -math.log(CLASSES - 1), rtol=1e-6)

    @jax.jit
    @jax.grad
    def gradient(p):
        return jnp.sum(jnp.square(module.apply({"params": p}, clip, None, False)))

    found = gradient(params)
    assert all(not x.any() for x in jax.tree.leaves(found["backbone"]))
    assert all(x.any() for x in jax.tree.leaves(found["classifier"]))


def test_logits_of_the_views_of_one_video_are_averaged():
    logits = jnp.asarray([[0.0, 1.0], [2.0, 3.0], [5.0, 5.0], [7.0, 9.0]])
    np.testing.assert_array_equal(average_views(logits, 2), [[1, 2], [6, 7]])


def test_rare_classes_are_counted_over_all_devices():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(6, CLASSES)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, (6, CLASSES)), jnp.float32).at[2].set(0)
    one = weighted_sigmoid_loss(logits, labels, axis_name=None)
    split = jax.pmap(lambda x, y: weighted_sigmoid_loss(x, y, axis_name="d"), axis_name="d")
    two = split(logits.reshape(2, 3, -1), labels.reshape(2, 3, -1))
    np.testing.assert_allclose(two.reshape(-1), one, rtol=1e-6)
    assert one[2] == 0 and np.isfinite(one).all()
