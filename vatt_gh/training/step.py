"""One training step: features, losses, harmonized gradients, update. A pure function.

The order is that of the method: (1) pooled features of all samples, (2) both losses over the
global batch and their derivatives by the features, (3) inner products of each sample's gradients
in the shared parameters, and with them a factor a loss and sample, (4) the gradients with these
factors, summed over all devices, (5) the update.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from ml_collections import ConfigDict

from vatt_gh.harmonize import (
    PLAIN,
    RULES,
    Coefficients,
    Linear,
    Method,
    Pass,
    gamma_schedule,
    ghost,
    per_sample,
)
from vatt_gh.losses import alignment_losses
from vatt_gh.models.tokenize import AggregationToken, PatchEmbed, PositionTable
from vatt_gh.models.vatt import MODALITIES, Vatt

Array = jax.Array
Tree = Any

HISTOGRAM_BINS = 40  # of the cosines, equal over [-1, 1]
LOSSES = ("audio", "text")  # the modality that is aligned with the video
# The losses that depend on the features of a modality, by their place in LOSSES.
REACH = {"video": (0, 1), "audio": (0,), "text": (1,)}
# What the ghost engine has to know of our own layers.
LAYER_RULES = {**RULES, PatchEmbed: Linear()}
PLAIN_LAYERS = (*PLAIN, AggregationToken, PositionTable)
# Drawing parameters takes longer to compile than to run: half as long without optimisation.
_RUNS_ONCE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@struct.dataclass
class TrainState:
    """What training carries from step to step.

    Attributes:
        step: [] int32, steps done.
        params: {'towers', 'heads'} float32.
        statistics: the heads' batch statistics.
        opt_state: of the optimizer.
        key: uint32 data of the run's random key.
        empty_steps: [] int32, steps at which the curriculum kept nothing.
    """

    step: Array
    params: Tree
    statistics: Tree
    opt_state: optax.OptState
    key: Array
    empty_steps: Array


class StepOutput(NamedTuple):
    """What a step reports.

    Attributes:
        metrics: scalars (and 'cosine_histogram' [40] int32) of the global batch.
        samples: of each sample of this device, [b]: 'cosine', 'defined', 'weight', 'loss_audio',
            'loss_text'.
    """

    metrics: dict[str, Array]
    samples: dict[str, Array]


def create_state(
    model: Vatt, optimizer: optax.GradientTransformation, sample: dict[str, Array], seed: int
) -> TrainState:
    """Draws parameters and sets everything to step 0; `sample` is one sample, zeros will do."""
    key = jax.random.key(seed)
    init = jax.jit(model.init, compiler_options=_RUNS_ONCE)
    params, statistics = init(jax.random.fold_in(key, 0), sample)
    return TrainState(
        step=jnp.zeros([], jnp.int32),
        params=params,
        statistics=statistics,
        opt_state=optimizer.init(params),
        key=jax.random.key_data(jax.random.fold_in(key, 1)),
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
        state: replicated.
        batch: arrays of `vatt_gh.batch.DEVICE_KEYS`, b samples.
        model: built with the same axis_name.
        optimizer: made for state.params.
        config: the whole configuration.
        axis_name: named axis of the devices, or None for one device without pmap.

    Returns:
        The new state, the same on every device, and the report. A step that keeps nothing changes
        neither parameters, statistics nor optimizer.
    """
    keys, keep = _randomness(state, batch["index"], model)
    gamma = gamma_schedule(
        state.step,
        start=config.harmonize.gamma_start,
        end=config.harmonize.gamma_end,
        steps=config.harmonize.curriculum_steps,
    )
    gradients, statistics, decided, losses = harmonized_gradients(
        model, state, batch, keys, keep, gamma, config, axis_name
    )
    kept = _mean(decided.weight, axis_name)
    scale = jnp.where(kept > 0, 1.0 / jnp.where(kept > 0, kept, 1.0), 0.0)
    gradients = jax.tree.map(lambda g: scale * g, _sum(gradients, axis_name))
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    # NaN weights must reach the parameters and stop the run: only a true zero is an empty step.
    empty = kept == 0
    params = optax.apply_updates(state.params, updates)
    new = (params, statistics, opt_state)
    old = (state.params, state.statistics, state.opt_state)
    params, statistics, opt_state = jax.tree.map(lambda n, o: jnp.where(empty, o, n), new, old)
    new_state = state.replace(
        step=state.step + 1,
        params=params,
        statistics=statistics,
        opt_state=opt_state,
        empty_steps=state.empty_steps + empty.astype(jnp.int32),
    )
    metrics = _metrics(batch, losses, decided, gradients, config, axis_name)
    metrics |= {"gamma": gamma, "kept_share": kept, "empty_steps": new_state.empty_steps}
    samples = {
        "cosine": decided.cosine,
        "defined": decided.defined,
        "weight": decided.weight,
        **{f"loss_{name}": losses[name] for name in LOSSES},
    }
    return new_state, StepOutput(metrics, samples)


def harmonized_gradients(
    model: Vatt,
    state: TrainState,
    batch: dict[str, Array],
    keys: Array,
    keep: dict[str, Array],
    gamma: Array,
    config: ConfigDict,
    axis_name: str | None,
) -> tuple[Tree, Tree, Coefficients, dict[str, Array]]:
    """This device's share of the gradients, not yet divided by the mean weight.

    Args:
        model, state, batch, config, axis_name: as in `train_step`.
        keys: [b] random keys for dropout.
        keep: DropToken's indices by modality.
        gamma: [] float32, threshold of the curriculum.

    Returns:
        Gradients like state.params, the heads' new batch statistics, the samples' coefficients,
        and the samples' losses [b] by name.
    """
    towers = state.params["towers"]
    harmonize = config.harmonize.realign or config.harmonize.curriculum
    shared = model.shared if harmonize else ()
    own = {m: batch[m] for m in MODALITIES if m not in shared}
    features, pull_towers = jax.vjp(lambda p: model.encode(p, own, keys, keep), towers)
    passes = [Pass(({m: batch[m]}, keys), REACH[m]) for m in shared]
    common, finish = _engine(model, towers, passes, state, keep, config)
    for part in common:
        features = features | part

    def head_losses(heads: Tree, h: dict[str, Array]) -> tuple[dict[str, Array], Tree]:
        embeddings, statistics = model.project(heads, state.statistics, h)
        masks = {name: batch[f"{name}_mask"] for name in LOSSES}
        losses = alignment_losses(
            embeddings,
            masks,
            kind=config.loss.kind,
            temperature=config.loss.temperature,
            axis_name=axis_name,
        )
        return losses, statistics

    losses, pull_losses, statistics = jax.vjp(
        head_losses, state.params["heads"], features, has_aux=True
    )
    shares = loss_shares(batch, config, axis_name)

    def feature_cotangent(factor: dict[str, Array]) -> dict[str, Array]:
        return pull_losses({n: shares[n] * factor[n] for n in LOSSES})[1]

    single = [
        feature_cotangent({n: jnp.asarray(float(n == name)) for n in LOSSES}) for name in LOSSES
    ]
    if harmonize:
        method = Method(
            realign=config.harmonize.realign,
            curriculum=config.harmonize.curriculum,
            soft_temperature=config.harmonize.soft_temperature,
        )
        cotangents = [{n: {m: single[n][m]} for n in REACH[m]} for m in shared]
        complete = batch["audio_mask"] & batch["text_mask"]
        common_gradients, decided = finish(
            cotangents, lambda gram, whole: method(gram, whole, gamma), complete
        )
    else:
        common_gradients, decided = None, _nothing_decided(batch)
    weighted = {
        m: (_rows(decided.weight, h) * sum(c[m] for c in single)).astype(h.dtype)
        for m, h in features.items()
        if m in own
    }
    head_gradients = pull_losses({n: shares[n] * decided.weight for n in LOSSES})[0]
    tower_gradients = pull_towers(weighted)[0]
    if harmonize:
        tower_gradients = jax.tree.map(jnp.add, tower_gradients, common_gradients)
    gradients = {"towers": tower_gradients, "heads": head_gradients}
    return gradients, statistics, decided, losses


def _engine(
    model: Vatt,
    towers: Tree,
    passes: list[Pass],
    state: TrainState,
    keep: dict[str, Array],
    config: ConfigDict,
) -> tuple[list[dict[str, Array]], Any]:
    """Features of the passes through shared parameters, and the engine's second half."""
    if not passes:
        return [], None

    def encode(p: Tree, sample: tuple[dict[str, Array], Array]) -> dict[str, Array]:
        return model.encode_one(p, *sample, keep)

    common = {
        "losses": len(LOSSES),
        "shared": model.is_shared,
        "microbatch": config.harmonize.microbatch,
    }
    if config.harmonize.engine == "vmap":
        return per_sample(encode, towers, passes, **common)
    step_key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    return ghost(
        encode,
        towers,
        passes,
        **common,
        rules=LAYER_RULES,
        plain=PLAIN_LAYERS,
        sketch=config.harmonize.sketch,
        key=jax.random.fold_in(step_key, 2),
    )


def _nothing_decided(batch: dict[str, Array]) -> Coefficients:
    """Coefficients of plain VATT: weight 1, and cosines that nobody measured."""
    ones = jnp.ones(batch["index"].shape, jnp.float32)
    scale = jnp.ones((ones.shape[0], len(LOSSES)), jnp.float32)
    return Coefficients(scale, ones, jnp.zeros_like(ones), jnp.zeros(ones.shape, bool))


def loss_shares(
    batch: dict[str, Array], config: ConfigDict, axis_name: str | None
) -> dict[str, Array]:
    """What each sample's loss counts in the total.

    Total loss = sum over samples and losses of share x loss: the weighted mean of the two losses,
    each a mean over the valid samples of the global batch.

    Args:
        batch: has 'audio_mask' and 'text_mask', [b] bool.
        config: the whole configuration.
        axis_name: named axis of the devices, or None.

    Returns:
        'audio' and 'text': [b] float32, zero where the sample lacks the modality.
    """
    weights = {"audio": config.loss.video_audio_weight, "text": config.loss.video_text_weight}
    total = sum(weights.values())
    shares = {}
    for name in LOSSES:
        mask = batch[f"{name}_mask"].astype(jnp.float32)
        count = _sum(jnp.sum(mask), axis_name)
        shares[name] = weights[name] / total * mask / jnp.maximum(count, 1.0)
    return shares


def _randomness(state: TrainState, index: Array, model: Vatt) -> tuple[Array, dict[str, Array]]:
    """Keys [b], a function of (step, place in the global batch) alone, and DropToken's indices."""
    step_key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    sample_key = jax.random.fold_in(step_key, 0)
    keys = jax.vmap(lambda i: jax.random.fold_in(sample_key, i))(index)
    return keys, model.draw_keep(jax.random.fold_in(step_key, 1))


def _metrics(
    batch: dict[str, Array],
    losses: dict[str, Array],
    decided: Coefficients,
    gradients: Tree,
    config: ConfigDict,
    axis_name: str | None,
) -> dict[str, Array]:
    shares = loss_shares(batch, config, axis_name)
    weights = {"audio": config.loss.video_audio_weight, "text": config.loss.video_text_weight}
    metrics = {}
    for name, letter in (("audio", "a"), ("text", "t")):
        part = _sum(jnp.sum(shares[name] * losses[name]), axis_name)
        metrics[f"loss_v{letter}"] = part * sum(weights.values()) / max(weights[name], 1e-30)
        metrics["loss"] = metrics.get("loss", 0.0) + part
    defined = decided.defined
    edges = jnp.linspace(-1.0, 1.0, HISTOGRAM_BINS + 1)
    bins = jnp.clip(jnp.searchsorted(edges, decided.cosine, side="right") - 1, 0, 39)
    counts = jnp.zeros(HISTOGRAM_BINS, jnp.int32).at[bins].add(defined.astype(jnp.int32))
    total = jnp.maximum(_sum(jnp.sum(defined), axis_name), 1)
    metrics["cosine_histogram"] = _sum(counts, axis_name)
    metrics["conflict_rate"] = _sum(jnp.sum(defined & (decided.cosine < 0)), axis_name) / total
    metrics["cosine_mean"] = (
        _sum(jnp.sum(jnp.where(defined, decided.cosine, 0.0)), axis_name) / total
    )
    metrics["grad_norm"] = optax.global_norm(gradients)  # already the sum over all devices
    return metrics


def _rows(weight: Array, like: Array) -> Array:
    return weight.reshape(-1, *[1] * (like.ndim - 1))


# The reductions over devices, all in one place.
def _sum(tree: Tree, axis_name: str | None) -> Tree:
    return tree if axis_name is None else jax.lax.psum(tree, axis_name)


def _mean(x: Array, axis_name: str | None) -> Array:
    mean: Callable[[Array], Array] = jnp.mean
    return mean(x) if axis_name is None else jax.lax.pmean(mean(x), axis_name)
