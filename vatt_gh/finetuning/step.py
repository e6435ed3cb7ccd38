"""One step of fine-tuning: augmentation, mixup, the classifier's loss, update. A pure function."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.harmonize.devices import summed
from vatt_gh.losses import gathered, softmax_loss, weighted_sigmoid_loss
from vatt_gh.models.bits import dropout_key
from vatt_gh.models.classifier import Classifier
from vatt_gh.models.vatt import Vatt, centred
from vatt_gh.training.construct import learning_rate_of
from vatt_gh.training.optimizer import keras_sgd
from vatt_gh.training.step import (
    StepOutput,
    TrainState,
    augmented,
    draw_randomness,
    sample_keys,
    state_of,
    step_key,
    updated,
)

Array = jax.Array
Batch = dict[str, Array]
# Uses of randomness in a step beside those of `draw_randomness`, dropout (0) and tokens (1); its
# third one, the sketch (2), is not drawn here.
_NOISE, _MIXUP = 2, 3


def sgd_of(train: ConfigDict, finetune: ConfigDict) -> optax.GradientTransformation:
    """Builds the original's SGD; the tower's gradient is clipped, the linear layer's is not.

    The original clips on each replica before gradients are summed; here the sum is clipped, so that
    the number of devices does not matter.
    """
    sgd = keras_sgd(learning_rate_of(train), momentum=finetune.momentum)
    if not finetune.clip:
        return sgd
    clip = optax.masked(
        optax.clip_by_global_norm(finetune.clip), {"backbone": True, "classifier": False}
    )
    return optax.chain(clip, sgd)


def create_classifier_state(
    model: Classifier, optimizer: optax.GradientTransformation, clip: Array, seed: int
) -> TrainState:
    """Draws parameters and sets everything to step 0; `clip` is one clip, may be zeros."""
    key = jax.random.key(seed)
    params = jax.jit(model.init, static_argnums=(2, 3))(
        jax.random.fold_in(key, 0), as_input(clip), None, False
    )["params"]
    return state_of(params, {}, optimizer, jax.random.fold_in(key, 1))


def as_input(clips: Array) -> Array:
    """Converts video to float32 in [-1, 1]; leaves sound as it is."""
    return centred({names.VIDEO: clips})[names.VIDEO]


def finetune_step(
    state: TrainState,
    batch: Batch,
    *,
    model: Classifier,
    optimizer: optax.GradientTransformation,
    tokens: Vatt,
    modality: str,
    config: ConfigDict,
    axis_name: str | None,
) -> tuple[TrainState, StepOutput]:
    """Takes one step on this device's share of the global batch.

    Args:
        state: replicated state; it has no statistics.
        batch: see `data.labelled.labelled_batches`, b samples.
        model: the classifier of the modality.
        optimizer: made for state.params.
        tokens: draws the tokens that DropToken keeps.
        modality: 'video' or 'audio'.
        config: the whole configuration.
        axis_name: named axis of the devices, or None for one device without pmap.

    Returns:
        The new state, the same on every device, and the report: 'loss', 'accuracy' (of softmax:
        right class first, before mixup), 'grad_norm', 'empty_steps'; for each sample its 'loss'
        [b]. A step without a readable sample changes neither parameters nor optimizer.
    """
    key = step_key(state)
    present = batch[f"{modality}_mask"].astype(jnp.float32)
    count = summed(jnp.sum(present), axis_name)
    batch = augmented(batch, jax.random.fold_in(key, _NOISE), 0, config.data)
    clips = as_input(batch[modality])
    labels = batch[names.LABEL] * present[:, None]
    targets = labels if model.multi_label else smoothed(labels, config.finetune.label_smoothing)
    if config.finetune.mixup:
        clips, targets = mixed(
            clips,
            targets,
            batch[f"{modality}_mask"],
            batch[names.INDEX],
            jax.random.fold_in(key, _MIXUP),
            config.finetune.mixup,
            axis_name,
        )
        targets *= present[:, None]  # a clip that is not there counts in no class
    randomness = draw_randomness(state, batch[names.INDEX], tokens)
    keep = randomness.keep.get(modality)

    def mean_loss(params: Any) -> tuple[Array, tuple[Array, Array]]:
        def logits_of(clip: Array, key: Array) -> Array:
            rngs = {"dropout": dropout_key(key, 0)}
            return model.apply({"params": params}, clip, keep, True, rngs=rngs)

        logits = jax.vmap(logits_of)(clips, randomness.keys)
        if model.multi_label:
            losses = weighted_sigmoid_loss(logits, targets, axis_name=axis_name)
        else:
            losses = softmax_loss(logits, targets)
        losses = losses * present
        return jnp.sum(losses) / jnp.maximum(count, 1), (logits, losses)

    (loss, (logits, losses)), gradients = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
    gradients = jax.tree.map(lambda g: summed(g, axis_name), gradients)
    metrics = {"loss": summed(loss, axis_name)}
    if not model.multi_label:
        right = (jnp.argmax(logits, axis=-1) == jnp.argmax(labels, axis=-1)) * present
        metrics["accuracy"] = summed(jnp.sum(right), axis_name) / jnp.maximum(count, 1)
    state, metrics = updated(state, gradients, {}, optimizer, count == 0, metrics, config.train)
    return state, StepOutput(metrics, {"loss": losses})


def smoothed(labels: Array, share: float) -> Array:
    """Smooths labels [b, K]: (1 - a) y + a / K; rows without a class stay zero."""
    there = jnp.sum(labels, axis=-1, keepdims=True) > 0
    return jnp.where(there, (1.0 - share) * labels + share / labels.shape[-1], 0.0)


def mixed(
    clips: Array,
    targets: Array,
    mask: Array,
    index: Array,
    key: Array,
    alpha: float,
    axis_name: str | None,
) -> tuple[Array, Array]:
    """Applies mixup: samples become l x + (1 - l) x', each with its l from Beta(alpha, alpha).

    The partners x' are the global batch in another order, the same on any number of devices; the
    original takes them from the replica's own samples. A sample whose partner is missing stays.

    Args:
        clips: [b, ...] float32.
        targets: [b, K] float32.
        mask: [b] bool, whether a sample is there.
        index: [b] int32, places in the global batch.
        key: random key for this step's mixup.
        alpha: parameter of the Beta distribution.
        axis_name: named axis of the devices, or None.

    Returns:
        The mixed clips and targets.
    """
    everyone = [gathered(x, axis_name) for x in (clips, targets, mask)]
    order = jax.random.permutation(jax.random.fold_in(key, 0), len(everyone[2]))
    partner = order[index]
    other_clips, other_targets, there = (x[partner] for x in everyone)
    keys = sample_keys(key, 1, index)
    share = jax.vmap(lambda key: jax.random.beta(key, alpha, alpha))(keys)
    share = jnp.where(there, share, 1.0)

    def mix(mine: Array, other: Array) -> Array:
        part = share.reshape(-1, *[1] * (mine.ndim - 1))
        return part * mine + (1.0 - part) * other

    return mix(clips, other_clips), mix(targets, other_targets)
