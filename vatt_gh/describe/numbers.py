"""Sizes and costs of a configuration's model and training step, found from shapes alone."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import optax
from jax.extend.core import Var
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.batch import MODALITIES
from vatt_gh.config import compares_gradients
from vatt_gh.data.text import read_vocabulary
from vatt_gh.flops import count_flops
from vatt_gh.harmonize.interface import Pass, Request
from vatt_gh.harmonize.trees import by_path, tree_bytes
from vatt_gh.loss_terms import active_terms, places_of
from vatt_gh.models.vatt import Vatt
from vatt_gh.training.construct import model_of, optimizer_of, zero_sample
from vatt_gh.training.gradients import common_modalities
from vatt_gh.training.harmonization import engine_of
from vatt_gh.training.step import TrainState, state_of, train_step

Shapes = Any  # a tree of jax.ShapeDtypeStruct


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Numbers of parameters.

    Attributes:
        parts: parameters of each tower (for a shared encoder: of the encoder and of each modality's
            own parts) and of the heads.
        word_table: parameters of the word vectors, which `parts` includes.
        shared: parameters that several losses reach (S).
    """

    parts: dict[str, int]
    word_table: int
    shared: int


@dataclasses.dataclass(frozen=True)
class Flops:
    """Operations in matrix products for ONE sample.

    Attributes:
        evaluation: forward pass of each tower and of the heads, with all tokens.
        training: the same with the tokens that DropToken keeps.
        step: forward and backward passes, losses and harmonization of a training step.
    """

    evaluation: dict[str, int]
    training: dict[str, int]
    step: float


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of a training step on one device.

    Attributes:
        parameters, gradients, optimizer: bytes for the whole model.
        harmonization: bytes that its engine holds at once: gradients of single samples (vmap), or
            layers' inputs and output cotangents (ghost, an estimate).
        activations: kept for the backward passes, an estimate: see `activation_bytes`.
    """

    parameters: int
    gradients: int
    optimizer: int
    harmonization: int
    activations: int

    def total(self) -> int:
        """Returns the sum."""
        return sum(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True)
class Description:
    """A model and its training step in numbers.

    Attributes:
        inputs: shapes of ONE sample.
        features: shapes of its pooled and token features, by modality.
        embeddings: shapes of a sample's embeddings.
        kept: tokens kept in training, by modality; missing modalities keep all.
        parameters: see Parameters.
        shapes: parameters' shapes by name, and the number of layers with each.
        flops, memory: see Flops and Memory.
        devices: devices that share a batch.
    """

    inputs: dict[str, tuple[int, ...]]
    features: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    embeddings: dict[str, tuple[int, ...]]
    kept: dict[str, int]
    parameters: Parameters
    shapes: dict[str, tuple[tuple[int, ...], int]]
    flops: Flops
    memory: Memory
    devices: int


def inspect(config: ConfigDict, *, devices: int) -> Description:
    """Finds the numbers of a configuration.

    Args:
        config: the whole configuration, checked.
        devices: devices of all hosts.

    Returns:
        The description.

    Raises:
        UserError: the given vocabulary cannot be read.
    """
    model = model_of(config, words=_words(config.data), audio_rate=config.data.build_audio_rate)
    optimizer = optimizer_of(config.train)
    sample = jax.eval_shape(lambda: zero_sample(config.data))
    state = _state(model, optimizer, sample)
    towers = state.params["towers"]
    common = common_modalities(model, active_terms(config.loss))
    features = jax.eval_shape(
        lambda p, s: model.towers.apply({"params": p}, s, {}, False, method="features"),
        towers,
        sample,
    )
    embeddings = jax.eval_shape(model.embed, state.params, state.statistics, _batched(sample, 1))[1]
    return Description(
        inputs={name: x.shape for name, x in sample.items()},
        features={m: (pooled.shape, tokens.shape) for m, (pooled, tokens) in features.items()},
        embeddings={name: x.shape[1:] for name, x in embeddings.items()},
        kept=model.kept,
        parameters=parameter_numbers(model, state.params, common),
        shapes=shape_table(state.params),
        flops=_flops(model, optimizer, state, sample, config),
        memory=_memory(model, state, sample, config, devices),
        devices=devices,
    )


def parameter_numbers(model: Vatt, params: Shapes, common: Sequence[str]) -> Parameters:
    """Counts parameters.

    Args:
        model: model with any axis name.
        params: {'towers', 'heads'}, arrays or their shapes.
        common: modalities whose features several losses depend on.

    Returns:
        The numbers.
    """
    towers, parts = params["towers"], {**params["towers"], "heads": params["heads"]}
    words = [x for path, x in by_path(towers).items() if path[-2:] == ("embed", "embedding")]
    return Parameters(
        parts={name: _size(part) for name, part in parts.items()},
        word_table=_size(words),
        shared=sum(
            _size(part) for name, part in towers.items() if model.is_shared((name,), common)
        ),
    )


def shape_table(params: Shapes) -> dict[str, tuple[tuple[int, ...], int]]:
    """Lists the shapes of parameters by name; equal layers of a stack share a row.

    Args:
        params: tree of arrays or their shapes.

    Returns:
        {name, with layer_* for any layer's number: (shape, number of layers)}.
    """
    table: dict[str, tuple[tuple[int, ...], int]] = {}
    for path, x in by_path(params).items():
        name = re.sub(r"layer_\d+", "layer_*", "/".join(path))
        table[name] = (x.shape, table.get(name, ((), 0))[1] + 1)
    return table


def activation_bytes(model: Vatt, towers: Shapes, sample: Shapes, keep: Shapes) -> dict[str, int]:
    """Counts the bytes that each modality's tower keeps of ONE sample for the backward pass.

    An estimate: the residuals of JAX's derivative. XLA's fusion reduces it; its temporary buffers
    add to it.

    Args:
        model: built without an axis name.
        towers: shapes of the towers' parameters.
        sample: shapes of one sample.
        keep: shapes of DropToken's indices by modality.

    Returns:
        {modality: bytes}.
    """

    def pullback(p: Shapes, part: Shapes, key: jax.Array, keep: Shapes) -> Shapes:
        return jax.vjp(lambda p: model.encode_one(p, part, key, keep), p)[1]

    return {m: _dependent_bytes(pullback, towers, {m: sample[m]}, _key(), keep) for m in sample}


def _dependent_bytes(function: Callable[..., Shapes], params: Shapes, *args: Shapes) -> int:
    """Counts the bytes of the results that depend on more than `params`, each counted once."""
    jaxpr = jax.make_jaxpr(function)(params, *args).jaxpr
    dependent = set(jaxpr.invars[len(jax.tree.leaves(params)) :])
    for equation in jaxpr.eqns:
        if any(isinstance(x, Var) and x in dependent for x in equation.invars):
            dependent.update(equation.outvars)
    return tree_bytes(
        [x.aval for x in {x for x in jaxpr.outvars if isinstance(x, Var)} & dependent]
    )


def _flops(
    model: Vatt,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    sample: Shapes,
    config: ConfigDict,
) -> Flops:
    towers, keep, key = state.params["towers"], _kept(model), _key()
    evaluation, training = {}, {}
    for modality in MODALITIES:
        part = {modality: sample[modality]}
        evaluation[modality] = count_flops(
            lambda p, s, k: model.encode_one(p, s, k, {}, False), towers, part, key
        )
        training[modality] = count_flops(model.encode_one, towers, part, key, keep)
    pooled = jax.eval_shape(lambda p, s, k: model.encode_one(p, s, k, {}), towers, sample, key)
    heads = count_flops(
        lambda p, s, h: model.heads.apply({"params": p, "batch_stats": s}, h, False),
        state.params["heads"],
        state.statistics,
        _batched(pooled, 1),
    )
    evaluation["heads"] = training["heads"] = heads
    batch = _batch(sample, config.train.batch_size)
    step = count_flops(
        lambda s, b: train_step(
            s, b, model=model, optimizer=optimizer, config=config, axis_name=None
        ),
        state,
        batch,
    )
    return Flops(evaluation, training, step / config.train.batch_size)


def _memory(
    model: Vatt, state: TrainState, sample: Shapes, config: ConfigDict, devices: int
) -> Memory:
    towers, local = state.params["towers"], config.train.batch_size // devices
    kept = activation_bytes(model, towers, sample, _kept(model))
    some, harmonization = config.train.microbatch or local, 0
    if compares_gradients(config.harmonize):
        harmonization = some * _harmonization_bytes(model, towers, sample, config)
    return Memory(
        parameters=tree_bytes(state.params),
        gradients=tree_bytes(state.params),
        optimizer=tree_bytes(state.opt_state),
        harmonization=harmonization,
        activations=some * sum(kept.values()),
    )


def _harmonization_bytes(model: Vatt, towers: Shapes, sample: Shapes, config: ConfigDict) -> int:
    """Counts the bytes that the engine needs for ONE sample, without activations."""
    terms = active_terms(config.loss)
    common = common_modalities(model, terms)

    def encode(p: Shapes, inputs: Shapes) -> Shapes:
        return model.encode_one(p, *inputs, model.draw_keep(jax.random.key(0)))

    passes = [Pass(({m: sample[m]}, _key()), places_of(m, terms)) for m in common]
    request = Request(len(terms), shared=lambda path: model.is_shared(path, common))
    return engine_of(config.harmonize).held_bytes(encode, towers, passes, request)


def _state(model: Vatt, optimizer: optax.GradientTransformation, sample: Shapes) -> TrainState:
    key = jax.random.key(0)
    return jax.eval_shape(lambda s: state_of(*model.init(key, s), optimizer, key), sample)


def _words(data: ConfigDict) -> int:
    given = data.vocabulary
    return len(read_vocabulary(Path(given))) if given else data.vocabulary_size


def _key() -> Shapes:
    return jax.eval_shape(lambda: jax.random.key(0))


def _kept(model: Vatt) -> Shapes:
    return jax.eval_shape(lambda: model.draw_keep(jax.random.key(0)))


def _batched(shapes: Shapes, count: int) -> Shapes:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), shapes)


def _batch(sample: Shapes, count: int) -> Shapes:
    batch = _batched(sample, count)
    for name in (*names.MASKS, names.INDEX):
        batch[name] = jax.ShapeDtypeStruct((count,), names.DTYPES[name])
    batch[names.COLOUR] = jax.ShapeDtypeStruct((count, 4), names.DTYPES[names.COLOUR])
    return batch


def _size(shapes: Shapes) -> int:
    return sum(x.size for x in jax.tree.leaves(shapes))
