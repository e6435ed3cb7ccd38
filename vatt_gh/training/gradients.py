"""The gradients of a training step: features, losses, and harmonization.

Towers that only one loss reaches get ordinary gradients, as do the heads, whose batch norm couples
samples. Parameters that several losses reach get theirs from an engine of vatt_gh.harmonize.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vatt_gh.batch import MODALITIES
from vatt_gh.config import compares_gradients
from vatt_gh.harmonize import Coefficients, Pass, Request, encoded, feature_cotangents, ordinary
from vatt_gh.harmonize.devices import summed
from vatt_gh.harmonize.trees import Tree
from vatt_gh.loss_terms import LossTerm, active_terms, places_of
from vatt_gh.losses import alignment_losses
from vatt_gh.models.vatt import Vatt
from vatt_gh.training.harmonization import engine_of, has_both, kept_terms, method_of

Array = jax.Array


class Randomness(NamedTuple):
    """Random draws of a step.

    Attributes:
        keys: [b] random keys for dropout.
        keep: DropToken's indices by modality.
        sketch: random key for the sketch's signs.
    """

    keys: Array
    keep: dict[str, Array]
    sketch: Array


class StepGradients(NamedTuple):
    """Results of a step's batch.

    Attributes:
        gradients: {'towers', 'heads'}, this device's share, not yet divided by the mean weight.
        statistics: the heads' new batch statistics.
        decided: the samples' coefficients.
        losses: [b] float32 by loss term.
        kept: [b] float32 by loss term, see `kept_terms`.
    """

    gradients: Tree
    statistics: Tree
    decided: Coefficients
    losses: dict[str, Array]
    kept: dict[str, Array]


def step_gradients(
    model: Vatt,
    params: Tree,
    statistics: Tree,
    batch: dict[str, Array],
    randomness: Randomness,
    cutoff: Array,
    config: ConfigDict,
    axis_name: str | None,
) -> StepGradients:
    """Computes the gradients of a step.

    Args:
        model, batch, config, axis_name: see `train_step`.
        params: {'towers', 'heads'} float32.
        statistics: the heads' batch statistics.
        randomness: draws of the step.
        cutoff: [] float32, threshold of the curriculum, or share to drop.

    Returns:
        See StepGradients.
    """
    terms = active_terms(config.loss)
    ways = {
        m: Pass(({m: batch[m]}, randomness.keys), places)
        for m in MODALITIES
        if (places := places_of(m, terms))
    }
    common = common_modalities(model, terms) if compares_gradients(config.harmonize) else []
    alone = [m for m in ways if m not in common]

    def encode(p: Tree, sample: tuple[dict[str, Array], Array]) -> dict[str, Array]:
        return model.encode_one(p, *sample, randomness.keep)

    towers, microbatch = params["towers"], config.train.microbatch
    over = model.is_last_block if config.harmonize.cosine_over == "last_block" else model.is_shared
    parts = []
    if alone:
        some = [ways[m] for m in alone]
        features, pull_alone = ordinary(encode, towers, some, microbatch=microbatch)
        parts += features
    if common:
        some = [ways[m] for m in common]
        request = Request(
            len(terms), lambda path: over(path, common), microbatch, randomness.sketch
        )
        engine, group = engine_of(config.harmonize), config.harmonize.group
        forward = encoded(engine, encode, towers, some, request, group)
        parts += forward.features
    features = {m: h for part in parts for m, h in part.items()}
    losses, pull_losses, statistics = jax.vjp(
        lambda heads, h: _head_losses(
            model, heads, statistics, h, batch, terms, config.loss, axis_name
        ),
        params["heads"],
        features,
        has_aux=True,
    )
    by_name = {t.name: loss for t, loss in zip(terms, losses, strict=True)}
    kept = kept_terms(by_name, randomness.keys, batch, terms, cutoff, config.harmonize, axis_name)
    shares = loss_shares(batch, config.loss, axis_name, kept)

    def pull(factors: list[Array]) -> tuple[Tree, dict[str, Array]]:
        return pull_losses([shares[t.name] * f for t, f in zip(terms, factors, strict=True)])

    def of_ways(names: Sequence[str], by_loss: list[dict[str, Array]]) -> list[dict[int, Tree]]:
        return [{n: {m: by_loss[n][m]} for n in ways[m].losses} for m in names]

    def cotangents(attribution: str) -> list[dict[str, Array]]:
        return feature_cotangents(lambda f: pull(f)[1], losses, attribution, axis_name)

    whole = cotangents("embedding")
    decided, gradients = _nothing_decided(batch, len(terms)), None
    if common:
        attribution, update = config.harmonize.attribution, None
        deciding = whole if attribution == "embedding" else cotangents(attribution)
        if deciding is not whole and config.harmonize.update_by == "embedding":
            update = of_ways(common, whole)
        gradients, decided = forward.harmonized(
            of_ways(common, deciding),
            method_of(config.harmonize, axis_name),
            cutoff,
            _complete(batch),
            update,
        )
    if alone:
        weighted = [{m: _rows(decided.weight, c[m]) * c[m] for m in c} for c in whole]
        of_alone = pull_alone(of_ways(alone, weighted))
        gradients = of_alone if gradients is None else jax.tree.map(jnp.add, gradients, of_alone)
    heads = pull([decided.weight] * len(terms))[0]
    return StepGradients({"towers": gradients, "heads": heads}, statistics, decided, by_name, kept)


def common_modalities(model: Vatt, terms: Sequence[LossTerm]) -> list[str]:
    """Lists the modalities whose passes use parameters that several losses reach.

    Args:
        model: model with the towers.
        terms: loss terms of the run.

    Returns:
        Names, in the order of MODALITIES; none if there is only one loss.
    """
    if len(terms) < 2:
        return []
    least = 1 if model.one_encoder else 2
    return [m for m in MODALITIES if len(places_of(m, terms)) >= least]


def _head_losses(
    model: Vatt,
    heads: Tree,
    statistics: Tree,
    features: dict[str, Array],
    batch: dict[str, Array],
    terms: Sequence[LossTerm],
    loss: ConfigDict,
    axis_name: str | None,
) -> tuple[list[Array], Tree]:
    """Computes each sample's losses [b], in the terms' order, and the new batch statistics."""
    embeddings, statistics = model.project(heads, statistics, features)
    losses = alignment_losses(
        embeddings,
        {m: batch[f"{m}_mask"] for m in MODALITIES},
        terms,
        kind=loss.kind,
        temperature=loss.temperature,
        axis_name=axis_name,
    )
    return [losses[term.name] for term in terms], statistics


def _complete(batch: dict[str, Array]) -> Array:
    """Tells whether a sample has all modalities, [b] bool: others have no conflict."""
    return jnp.all(jnp.stack([batch[f"{m}_mask"] for m in MODALITIES]), axis=0)


def _nothing_decided(batch: dict[str, Array], losses: int) -> Coefficients:
    """Returns the coefficients of plain VATT: weight 1, and no measured cosines."""
    ones = jnp.ones(batch["index"].shape, jnp.float32)
    scale = jnp.ones((ones.shape[0], losses), jnp.float32)
    return Coefficients(scale, ones, jnp.zeros_like(ones), jnp.zeros(ones.shape, bool))


def loss_shares(
    batch: dict[str, Array],
    loss: ConfigDict,
    axis_name: str | None,
    kept: dict[str, Array] | None = None,
) -> dict[str, Array]:
    """Computes the share of each sample's loss in the total.

    Total loss = sum over samples and losses of share x loss: the weighted mean of the losses, each
    a mean over the valid samples of the global batch.

    Args:
        batch: has the modalities' masks, [b] bool.
        loss: section of the configuration.
        axis_name: named axis of the devices, or None.
        kept: see `kept_terms`; the means are over kept samples. None: all.

    Returns:
        [b] float32 by loss term, zero where the sample lacks one of the two modalities, or is
        dropped.
    """
    terms = active_terms(loss)
    total = sum(loss[term.weight_key] for term in terms)
    shares = {}
    for term in terms:
        mask = has_both(batch, term).astype(jnp.float32)
        mask = mask if kept is None else mask * kept[term.name]
        count = summed(jnp.sum(mask), axis_name)
        weight = loss[term.weight_key] / total
        shares[term.name] = weight * mask / jnp.maximum(count, 1.0)
    return shares


def _rows(weight: Array, like: Array) -> Array:
    return weight.reshape(-1, *[1] * (like.ndim - 1))
