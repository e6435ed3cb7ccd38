"""One training step: features, losses, harmonized gradients, update. A pure function.

Colours of videos are adjusted and noise is added to sounds, both as drawn. The method follows: (1)
pooled features of all samples, (2) all losses over the global batch, and their derivatives by the
features, (3) inner products of each sample's gradients in the shared parameters, and from them a
factor per loss and sample, (4) the gradients with these factors, summed over all devices, (5) the
update.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.harmonize import Coefficients
from vatt_gh.harmonize.devices import averaged, largest, over_mean_weight, summed
from vatt_gh.harmonize.trees import Tree
from vatt_gh.loss_terms import active_terms
from vatt_gh.models.vatt import Vatt
from vatt_gh.training.colour import changes_colours, recoloured
from vatt_gh.training.gradients import Randomness, StepGradients, loss_shares, step_gradients
from vatt_gh.training.harmonization import has_both, schedule_of
from vatt_gh.training.noise import with_noise

Array = jax.Array

# Uses of randomness in a step, each with its own key.
_DROPOUT, _TOKENS, _SKETCH, _NOISE = range(4)
HISTOGRAM_BINS = 40  # for the cosines, of equal width over [-1, 1]
# Drawing parameters takes longer to compile than to run. Compilation takes half as long without
# optimisation, and all models of the same form share a program, in training and evaluation.
_draw = jax.jit(
    Vatt.init,
    static_argnums=0,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)


@struct.dataclass
class TrainState:
    """The state that training carries from step to step.

    Attributes:
        step: [] int32, steps done.
        params: {'towers', 'heads'} float32.
        statistics: the heads' batch statistics.
        opt_state: state of the optimizer.
        key: uint32 data of the run's random key.
        empty_steps: [] int32, steps at which no sample was kept by the curriculum, or readable.
    """

    step: Array
    params: Tree
    statistics: Tree
    opt_state: optax.OptState
    key: Array
    empty_steps: Array


class StepOutput(NamedTuple):
    """The report of a step.

    Attributes:
        metrics: scalars of the global batch, and 'cosine_histogram' [HISTOGRAM_BINS] int32;
            'sketch_error' only with harmonize.sketch_check.
        samples: [b] for the samples of this device: 'cosine', 'defined', 'weight', and for each
            loss term 'loss_' with its label. The weight is the sample's; if each loss drops
            samples separately, it is the mean over losses.
    """

    metrics: dict[str, Array]
    samples: dict[str, Array]


def create_state(
    model: Vatt, optimizer: optax.GradientTransformation, sample: dict[str, Array], seed: int
) -> TrainState:
    """Draws parameters and sets everything to step 0; `sample` is one sample, may be zeros."""
    key = jax.random.key(seed)
    form = dataclasses.replace(model, heads=model.heads.clone(axis_name=None))
    params, statistics = _draw(form, jax.random.fold_in(key, 0), sample)
    return state_of(params, statistics, optimizer, jax.random.fold_in(key, 1))


def state_of(
    params: Tree, statistics: Tree, optimizer: optax.GradientTransformation, key: Array
) -> TrainState:
    """Makes the state before the first step; `key` is the run's random key."""
    return TrainState(
        step=jnp.zeros([], jnp.int32),
        params=params,
        statistics=statistics,
        opt_state=optimizer.init(params),
        key=jax.random.key_data(key),
        empty_steps=jnp.zeros([], jnp.int32),
    )


def train_step(
    state: TrainState,
    batch: dict[str, Array],
    *,
    model: Vatt,
    optimizer: optax.GradientTransformation,
    config: ConfigDict,
    axis_name: str | None,
) -> tuple[TrainState, StepOutput]:
    """Takes one step on this device's share of the global batch.

    Args:
        state: replicated state.
        batch: arrays of `vatt_gh.batch.DEVICE_KEYS`, b samples.
        model: built with the same axis_name.
        optimizer: made for state.params.
        config: the whole configuration.
        axis_name: named axis of the devices, or None for one device without pmap.

    Returns:
        The new state, the same on every device, and the report. A step without a kept or readable
        sample changes neither parameters, statistics nor optimizer.
    """
    batch = augmented(batch, step_key(state), _NOISE, config.data)
    randomness = draw_randomness(state, batch["index"], model)
    cutoff = schedule_of(config.harmonize, state.step)
    found = step_gradients(
        model, state.params, state.statistics, batch, randomness, cutoff, config, axis_name
    )
    gradients, mean_weight = over_mean_weight(found.gradients, found.decided.weight, axis_name)
    weight = found.decided.weight * sum(found.kept.values()) / len(found.kept)
    terms = active_terms(config.loss)
    pairs = sum(jnp.sum(has_both(batch, term)) for term in terms)
    empty = (mean_weight == 0) | (summed(pairs, axis_name) == 0)
    metrics = _loss_metrics(batch, found, config.loss, axis_name)
    metrics |= _cosine_metrics(found.decided, axis_name)
    metrics |= _cost_in_signal(found.decided, weight, axis_name)
    if config.harmonize.curriculum:
        threshold = config.harmonize.select == "threshold"
        # A threshold that keeps everything is below all cosines, which are at least -1.
        metrics |= {"gamma": jnp.maximum(cutoff, -1.0)} if threshold else {"drop_share": cutoff}
    metrics["kept_share"] = averaged(weight, axis_name)
    state, metrics = updated(
        state, gradients, found.statistics, optimizer, empty, metrics, config.train
    )
    samples = {
        "cosine": found.decided.cosine,
        "defined": found.decided.defined,
        "weight": weight,
        **{f"loss_{term.label}": found.losses[term.name] for term in terms},
    }
    return state, StepOutput(metrics, samples)


def augmented(batch: dict[str, Array], key: Array, use: int, data: ConfigDict) -> dict[str, Array]:
    """Changes colours and adds noise, where the configuration says so.

    Args:
        batch: arrays of vatt_gh.batch, b samples, with video, sound or both.
        key, use: random key and number of the noise, see `sample_keys`.
        data: section of the configuration.

    Returns:
        The batch, of the same shapes and dtypes.
    """
    if names.VIDEO in batch and changes_colours(data):
        batch = batch | {names.VIDEO: recoloured(batch[names.VIDEO], batch[names.COLOUR], data)}
    if names.AUDIO in batch and data.audio_noise:
        keys = sample_keys(key, use, batch[names.INDEX])
        batch = batch | {names.AUDIO: with_noise(batch[names.AUDIO], data.audio_noise, keys)}
    return batch


def updated(
    state: TrainState,
    gradients: Tree,
    statistics: Tree,
    optimizer: optax.GradientTransformation,
    empty: Array,
    metrics: dict[str, Array],
    train: ConfigDict,
) -> tuple[TrainState, dict[str, Array]]:
    """Computes the state after a step.

    Args:
        state: state before the step.
        gradients: of state.params, summed over all devices.
        statistics: the new batch statistics.
        optimizer: made for state.params.
        empty: [] bool, whether the step has no sample; then nothing changes but the counts.
        metrics: metrics of the step. Where one is not finite, 'grad_norm' included, and
            train.skip_nonfinite allows it, nothing changes either; else the run ends.
        train: section of the configuration.

    Returns:
        The state, and the metrics with 'grad_norm' and 'empty_steps'.
    """
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    new = (optax.apply_updates(state.params, updates), statistics, opt_state)
    metrics = metrics | {"grad_norm": optax.global_norm(gradients)}
    left_out = empty
    if train.skip_nonfinite:
        left_out |= ~jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in metrics.values()]))
    old = (state.params, state.statistics, state.opt_state)
    params, statistics, opt_state = jax.tree.map(lambda n, o: jnp.where(left_out, o, n), new, old)
    empty_steps = state.empty_steps + empty.astype(jnp.int32)
    state = state.replace(
        step=state.step + 1,
        params=params,
        statistics=statistics,
        opt_state=opt_state,
        empty_steps=empty_steps,
    )
    return state, metrics | {"empty_steps": empty_steps}


def draw_randomness(state: TrainState, index: Array, model: Vatt) -> Randomness:
    """Makes a step's draws: a function of the run's key, the step, and places in the global batch.

    Args:
        state: state before the step.
        index: [b] int32, places of this device's samples in the global batch.
        model: see `train_step`.

    Returns:
        The draws.
    """
    key = step_key(state)
    keys = sample_keys(key, _DROPOUT, index)
    keep = model.draw_keep(jax.random.fold_in(key, _TOKENS))
    return Randomness(keys, keep, jax.random.fold_in(key, _SKETCH))


def step_key(state: TrainState) -> Array:
    """Derives the random key of the step after a state."""
    return jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)


def sample_keys(key: Array, use: int, index: Array) -> Array:
    """Derives keys of the samples, by place in the global batch, and different for each use."""
    key = jax.random.fold_in(key, use)
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def _loss_metrics(
    batch: dict[str, Array], found: StepGradients, loss: ConfigDict, axis_name: str | None
) -> dict[str, Array]:
    """Averages each loss over the samples that have it, and the losses by their weights."""
    shares, terms = loss_shares(batch, loss, axis_name), active_terms(loss)
    weights = {term.name: loss[term.weight_key] for term in terms}
    metrics = {"loss": jnp.float32(0.0)}
    for term in terms:
        part = summed(jnp.sum(shares[term.name] * found.losses[term.name]), axis_name)
        metrics[f"loss_{term.label}"] = part * sum(weights.values()) / weights[term.name]
        metrics["loss"] += part
    return metrics


def _cosine_metrics(decided: Coefficients, axis_name: str | None) -> dict[str, Array]:
    """Measures how far the samples' gradients agree, over the samples that have a cosine."""
    defined, cosine = decided.defined, decided.cosine
    edges = jnp.linspace(-1.0, 1.0, HISTOGRAM_BINS + 1)
    bins = jnp.searchsorted(edges, cosine, side="right") - 1
    bins = jnp.clip(bins, 0, HISTOGRAM_BINS - 1)  # a cosine of 1 belongs to the last bin
    counts = jnp.zeros(HISTOGRAM_BINS, jnp.int32).at[bins].add(defined.astype(jnp.int32))
    total = jnp.maximum(summed(jnp.sum(defined), axis_name), 1)
    metrics = {
        "cosine_histogram": summed(counts, axis_name),
        "conflict_rate": summed(jnp.sum(defined & (cosine < 0)), axis_name) / total,
        "cosine_mean": summed(jnp.sum(jnp.where(defined, cosine, 0.0)), axis_name) / total,
    }
    if decided.exact_cosine is not None:
        error = jnp.max(jnp.abs(cosine - decided.exact_cosine))
        metrics["sketch_error"] = largest(error, axis_name)
    return metrics


def _cost_in_signal(
    decided: Coefficients, weight: Array, axis_name: str | None
) -> dict[str, Array]:
    """Measures what harmonization takes: samples, and length of their gradients.

    The effective batch is (sum of weights)^2 / (sum of their squares), in samples. The norms are
    means over all samples, for gradients in the parameters of the cosines.
    """
    total, squares = (summed(jnp.sum(w), axis_name) for w in (weight, weight**2))
    metrics = {"effective_batch": total**2 / jnp.maximum(squares, 1e-30)}
    if decided.before is not None:
        count = summed(jnp.float32(len(weight)), axis_name)
        for name, norms in (("before", decided.before), ("after", decided.after)):
            metrics[f"sample_norm_{name}"] = summed(jnp.sum(norms), axis_name) / count
    return metrics
