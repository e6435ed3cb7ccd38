"""Whole pre-training models: features, embeddings, losses, all gradients, batch statistics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from golden.golden_set import (
    all_features,
    close,
    evaluate,
    golden,
    local_means,
    setup,
    weights,
)
from golden.test_golden_heads import OUTPUTS
from interop.by_name import extract
from small import TERMS

from vatt_gh.interop.names import is_word_table
from vatt_gh.losses import alignment_losses

NAMES = ("model_tx_fac", "model_ut_fac")
TOLERANCE = 5e-5
TRAIN_TOLERANCE = 2e-4  # batch norm over few samples amplifies rounding
LOSS_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3  # of the tensor's largest value
ROUNDINGS = 1.0  # of E[x^2] in the original's variances: squares, sum and quotient


def match(features, name, prefix):
    for modality, (pooled, tokens) in features.items():
        key = f"{prefix}|{modality}|features"
        close(pooled, golden(name)[f"{key}_pooled"], TOLERANCE, key)
        close(tokens, golden(name)[key], TOLERANCE, key)


@pytest.mark.parametrize("name", NAMES)
def test_golden_models_at_evaluation(name):
    features, embeddings = evaluate(name)(setup(name)[4])
    match(features, name, "out|eval")
    for ours, theirs in OUTPUTS.items():
        close(embeddings[ours], golden(name)[f"out|eval|bridge|{theirs}"], TOLERANCE, ours)


def rounded_variances(key, size):
    """Perturbs the variances of batch norm in training by float32's rounding.

    The original's variance is E[x^2] - E[x]^2, ours the mean of (x - E[x])^2. If the mean is
    large compared with the deviation, the original's form is off by `size` roundings of E[x^2].
    The effect on the golden numbers is their own uncertainty.
    """

    def intercept(call, args, options, context):
        y = call(*args, **options)
        module = context.module
        if not isinstance(module, nn.BatchNorm) or module.use_running_average:
            return y
        axes = tuple(range(args[0].ndim - 1))
        x = jax.lax.stop_gradient(args[0])
        draw = jax.random.uniform(jax.random.fold_in(key, y.shape[-1]), y.shape[-1:], minval=-1)
        error = draw * size * jnp.finfo(jnp.float32).eps * jnp.mean(x * x, axes)
        variance = x.var(axes) + module.epsilon
        bias = module.get_variable("params", "bias")
        return (y - bias) * jnp.sqrt(variance / jnp.maximum(variance + error, 1e-12)) + bias

    return nn.intercept_methods(intercept)


@functools.cache
def trained(name):
    """The original's loss, gradients and other outputs, and their uncertainty.

    Returns:
        ((loss, (means, features, embeddings, statistics)), gradients, their norm), and a similar
        tree: for each array, its change under rounding of the original's variances.
    """
    model, batch, _, _, variables = setup(name)
    config = golden(name).config["loss"]
    masks = {m: jnp.asarray(batch[f"{m}_mask"]) for m in ("audio", "text")}
    pair_weights = {"audio": config["vid_aud_weight"], "text": config["vid_txt_weight"]}

    def total(params, key, size):
        features = all_features(name, params["towers"], True)
        pooled = {m: first for m, (first, _) in features.items()}
        with rounded_variances(key, size):
            embeddings, statistics = model.project(
                params["heads"], variables["batch_stats"], pooled
            )
        losses = alignment_losses(
            embeddings,
            masks,
            TERMS,
            kind=config["name"],
            temperature=config["temperature"],
            axis_name=None,
        )
        means = {
            n: pair_weights[n] * local_means(losses[f"video_{n}"], masks[n]) for n in pair_weights
        }
        loss = config["loss_weight"] * sum(means.values()) / sum(pair_weights.values())
        return loss, (means, features, embeddings, statistics)

    @jax.jit
    def run(params, key, size):
        value, gradients = jax.value_and_grad(total, has_aux=True)(params, key, size)
        return value, gradients, optax.global_norm(gradients)

    exact = run(variables["params"], jax.random.key(0), 0.0)
    draws = [run(variables["params"], jax.random.key(i), ROUNDINGS) for i in range(6)]
    uncertainty = jax.tree.map(
        lambda x, *others: max(np.abs(other - x).max() for other in others), exact, *draws
    )
    return exact, uncertainty


@pytest.mark.parametrize("name", NAMES)
def test_golden_models_in_training(name):
    file = golden(name)
    ((loss, (means, features, embeddings, statistics)), *_), uncertain = trained(name)
    (loss_bound, (means_bound, _, embeddings_bound, _)), *_ = uncertain
    match(features, name, "out|train")
    total = file["out|train_loss|total_loss"]
    close(loss, total, max(LOSS_TOLERANCE, loss_bound))
    prefix = f"out|train_loss|bridge_losses/{file.config['loss']['name']}"
    for ours, theirs in (("audio", "vidaud_loss"), ("text", "vidtxt_loss")):
        bound = max(LOSS_TOLERANCE, means_bound[ours])
        close(means[ours], file[f"{prefix}/{theirs}"], bound, theirs)
    for ours, theirs in OUTPUTS.items():
        expected = file[f"out|train|bridge|{theirs}"]
        close(embeddings[ours], expected, max(TRAIN_TOLERANCE, embeddings_bound[ours]), ours)
    _, _, shapes, names, _ = setup(name)
    own = {path[1:]: label for path, label in names.items() if path[0] == "batch_stats"}
    after = weights(shapes["batch_stats"], own, file.part("after_train"))
    jax.tree.map(lambda a, b: close(a, b, TOLERANCE), statistics, after)


@pytest.mark.parametrize("name", NAMES)
def test_golden_models_gradients(name):
    file = golden(name)
    _, _, _, names, _ = setup(name)
    (_, gradients, norm), (_, bounds, norm_bound) = trained(name)
    own = {path[1:]: label for path, label in names.items() if path[0] == "params"}
    found, bounds = extract(gradients, own), extract(bounds, own)
    expected = file.part("g")
    frozen = {label for label in found if not file.manifest["trainable"][label]}
    assert found.keys() - frozen == expected.keys()
    for label in frozen:
        assert is_word_table(label)
        np.testing.assert_array_equal(found[label], 0)
    # Some tensors have an exact gradient of zero (keys' biases, a shift before batch norm).
    nothing = 1e-6 * max(np.abs(value).max() for value in expected.values())
    for label, value in expected.items():
        bound = max(GRADIENT_TOLERANCE * np.abs(value).max(), bounds[label], nothing)
        close(found[label], value, bound, label)
    expected = file["out|global_grad_norm"]
    close(norm, expected, max(GRADIENT_TOLERANCE * expected, norm_bound))


@pytest.mark.parametrize("name", NAMES)
def test_golden_models_losses_of_the_golden_embeddings(name):
    """Tolerances are not widened: batch norm, the uncertain part, precedes the embeddings."""
    batch = setup(name)[1]
    file = golden(name)
    config = file.config["loss"]
    count = len(batch["video"])
    embeddings = {n: jnp.asarray(file[f"out|train|bridge|{own}"]) for n, own in OUTPUTS.items()}
    embeddings["text_to_video"] = embeddings["text_to_video"].reshape(
        count, -1, embeddings["text_to_video"].shape[-1]
    )
    masks = {m: jnp.asarray(batch[f"{m}_mask"]) for m in ("audio", "text")}
    kind, temperature = config["name"], config["temperature"]
    losses = jax.jit(
        lambda x: alignment_losses(
            x, masks, TERMS, kind=kind, temperature=temperature, axis_name=None
        )
    )(embeddings)
    prefix = f"out|train_loss|bridge_losses/{kind}"
    audio = config["vid_aud_weight"] * local_means(losses["video_audio"], masks["audio"])
    text = config["vid_txt_weight"] * local_means(losses["video_text"], masks["text"])
    close(audio, file[f"{prefix}/vidaud_loss"], LOSS_TOLERANCE)
    close(text, file[f"{prefix}/vidtxt_loss"], LOSS_TOLERANCE)
