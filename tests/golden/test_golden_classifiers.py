"""Fine-tuning classifiers: averaged logits, losses and gradients equal the original's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.golden_set import (
    audio_tower,
    close,
    golden,
    init_shapes,
    local_means,
    video_tower,
    weights,
)
from interop.by_name import extract

from vatt_gh.interop.names import classifier_names
from vatt_gh.losses import softmax_loss, weighted_sigmoid_loss
from vatt_gh.models.classifier import Classifier, average_views

TOLERANCE = 2e-5
LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4  # of the tensor's largest value


def classifier(name):
    """A golden file's module, clips, names and weights."""
    file, modality = golden(name), name.removesuffix("_cls")
    tower = (video_tower if modality == "video" else audio_tower)(file.config)
    module = Classifier(tower, file.config["num_classes"], 0.0, multi_label=modality == "audio")
    clips = file["in|x"] if modality == "video" else file["in|x"][..., 0]
    shapes = init_shapes(module, clips[0], None, False)
    names = classifier_names(shapes, "model")
    return module, clips, names, weights(shapes, names, file.part("w"))["params"]


@pytest.mark.parametrize("name", ["video_cls", "audio_cls"])
def test_golden_classifiers(name):
    file, (module, clips, names, params) = golden(name), classifier(name)
    config, labels = file.config, jnp.asarray(file["in|labels"])
    multi_label = module.multi_label
    probabilities = jax.nn.sigmoid if multi_label else jax.nn.softmax

    def logits_of(params, train):
        return jax.vmap(lambda x: module.apply({"params": params}, x, None, train))(clips)

    logits = jax.jit(lambda p: logits_of(p, False))(params)
    averaged = average_views(logits, config["num_test_samples"])
    close(averaged, file["out|eval_logits"], TOLERANCE)
    close(probabilities(averaged), file["out|eval_probabilities"], TOLERANCE)

    def loss(params):
        logits = logits_of(params, True)
        if multi_label:
            losses = weighted_sigmoid_loss(logits, labels, axis_name=None)
        else:
            losses = softmax_loss(logits, labels)
        return local_means(losses), logits

    (total, logits), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    close(logits, file["out|train_logits"], TOLERANCE)
    close(probabilities(logits), file["out|train_probabilities"], TOLERANCE)
    close(total, file["out|train_model_loss"], LOSS_TOLERANCE)
    close(total, file["out|train_total_loss"], LOSS_TOLERANCE)
    found = extract({"params": gradients}, names)
    expected = file.part("g")
    nothing = 1e-6 * max(np.abs(value).max() for value in expected.values())  # exact zeros
    for label, value in expected.items():
        bound = max(GRADIENT_TOLERANCE * np.abs(value).max(), nothing)
        close(found[label], value, bound, label)
