"""The gradients of a training step: features, losses, and what harmonization makes of them.

Towers that one loss alone reaches get ordinary gradients, as do the heads, whose batch norm
couples samples; what both losses reach passes through an engine of vatt_gh.harmonize.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vatt_gh.config import compares_gradients
from vatt_gh.harmonize import Coefficients, Pass, feature_cotangents, harmonized_sum, plain
from vatt_gh.harmonize.devices import summed
from vatt_gh.losses import alignment_losses
from vatt_gh.models.vatt import MODALITIES, Vatt
from vatt_gh.training.harmonization import engine_of, kept_terms, method_of

Array = jax.Array
Tree = Any

LOSSES = ("audio", "text")  # the modality that is aligned with the video
# The losses that depend on the features of a modality, by their place in LOSSES.
REACH = {"video": (0, 1), "audio": (0,), "text": (1,)}


class Randomness(NamedTuple):
    """What a step draws.

    Attributes:
        keys: [b] random keys for dropout.
        keep: DropToken's indices by modality.
        sketch: random key of the sketch's signs.
    """

    keys: Array
    keep: dict[str, Array]
    sketch: Array


def step_gradients(
    model: Vatt,
    params: Tree,
    statistics: Tree,
    batch: dict[str, Array],
    randomness: Randomness,
    gamma: Array,
    config: ConfigDict,
    axis_name: str | None,
) -> tuple[Tree, Tree, Coefficients, dict[str, Array]]:
    """This device's share of the gradients, not yet divided by the mean weight.

    Args:
        model, batch, config, axis_name: as in `train_step`.
        params: {'towers', 'heads'} float32.
        statistics: the heads' batch statistics.
        randomness: of the step.
        gamma: [] float32, threshold of the curriculum, or share to drop.

    Returns:
        Gradients like params, the heads' new batch statistics, the samples' coefficients,
        and the samples' losses [b] by name.
    """
    harmonize = compares_gradients(config)
    ways = {m: Pass(({m: batch[m]}, randomness.keys), REACH[m]) for m in MODALITIES}
    both = [m for m in MODALITIES if harmonize and m in model.shared]
    single = [m for m in MODALITIES if m not in both]

    def encode(p: Tree, sample: tuple[dict[str, Array], Array]) -> dict[str, Array]:
        return model.encode_one(p, *sample, randomness.keep)

    towers, microbatch = params["towers"], config.train.microbatch
    parts, finish = [], {}
    if single:
        some = [ways[m] for m in single]
        encoded, finish["single"] = plain(encode, towers, some, microbatch=microbatch)
        parts += encoded
    if both:
        some = [ways[m] for m in both]
        encoded, finish["both"] = engine_of(
            config, model, encode, towers, some, randomness.sketch, len(LOSSES)
        )
        parts += encoded
    features = {m: h for part in parts for m, h in part.items()}
    losses, pull_losses, statistics = jax.vjp(
        lambda heads, h: _head_losses(model, heads, statistics, h, batch, config, axis_name),
        params["heads"],
        features,
        has_aux=True,
    )
    by_name = dict(zip(LOSSES, losses, strict=True))
    kept = kept_terms(by_name, batch, gamma, config, axis_name)
    shares = loss_shares(batch, config, axis_name, kept)

    def pull(factors: list[Array]) -> tuple[Tree, dict[str, Array]]:
        return pull_losses([shares[n] * f for n, f in zip(LOSSES, factors, strict=True)])

    def of_ways(names: list[str], by_loss: list[dict[str, Array]]) -> list[dict[int, Tree]]:
        return [{n: {m: by_loss[n][m]} for n in ways[m].losses} for m in names]

    def cotangents(attribution: str) -> list[dict[str, Array]]:
        return feature_cotangents(lambda f: pull(f)[1], losses, attribution, axis_name)

    whole = cotangents("embedding")
    decided, gradients = _nothing_decided(batch), None
    if both:
        attribution, update = config.harmonize.attribution, None
        own = whole if attribution == "embedding" else cotangents(attribution)
        if own is not whole and config.harmonize.update == "embedding":
            update = of_ways(both, whole)
        gradients, decided = harmonized_sum(
            finish["both"],
            [{m: features[m]} for m in both],
            of_ways(both, own),
            method_of(config, axis_name),
            gamma,
            batch["video_mask"] & batch["audio_mask"] & batch["text_mask"],
            len(LOSSES),
            update,
            config.harmonize.group,
        )
    if single:
        weighted = [{m: _rows(decided.weight, c[m]) * c[m] for m in c} for c in whole]
        ordinary, _ = finish["single"](of_ways(single, weighted), None, None)
        gradients = ordinary if gradients is None else jax.tree.map(jnp.add, gradients, ordinary)
    heads = pull([decided.weight] * len(LOSSES))[0]
    return {"towers": gradients, "heads": heads}, statistics, decided, by_name


def _head_losses(
    model: Vatt,
    heads: Tree,
    statistics: Tree,
    features: dict[str, Array],
    batch: dict[str, Array],
    config: ConfigDict,
    axis_name: str | None,
) -> tuple[list[Array], Tree]:
    """Each sample's losses [b], in the order of LOSSES, and the new batch statistics."""
    embeddings, statistics = model.project(heads, statistics, features)
    losses = alignment_losses(
        embeddings,
        {m: batch[f"{m}_mask"] for m in MODALITIES},
        kind=config.loss.kind,
        temperature=config.loss.temperature,
        axis_name=axis_name,
    )
    return [losses[name] for name in LOSSES], statistics


def _nothing_decided(batch: dict[str, Array]) -> Coefficients:
    """Coefficients of plain VATT: weight 1, and cosines that nobody measured."""
    ones = jnp.ones(batch["index"].shape, jnp.float32)
    scale = jnp.ones((ones.shape[0], len(LOSSES)), jnp.float32)
    return Coefficients(scale, ones, jnp.zeros_like(ones), jnp.zeros(ones.shape, bool))


def loss_shares(
    batch: dict[str, Array],
    config: ConfigDict,
    axis_name: str | None,
    kept: dict[str, Array] | None = None,
) -> dict[str, Array]:
    """What each sample's loss counts in the total.

    Total loss = sum over samples and losses of share x loss: the weighted mean of the two losses,
    each a mean over the valid samples of the global batch.

    Args:
        batch: has 'video_mask', 'audio_mask' and 'text_mask', [b] bool.
        config: the whole configuration.
        axis_name: named axis of the devices, or None.
        kept: see `kept_terms`; the means are over the samples that are kept. None: all.

    Returns:
        'audio' and 'text': [b] float32, zero where the sample lacks that modality or the video,
        or is dropped.
    """
    weights = {"audio": config.loss.video_audio_weight, "text": config.loss.video_text_weight}
    total = sum(weights.values())
    shares = {}
    for name in LOSSES:
        mask = (batch["video_mask"] & batch[f"{name}_mask"]).astype(jnp.float32)
        mask = mask if kept is None else mask * kept[name]
        count = summed(jnp.sum(mask), axis_name)
        shares[name] = weights[name] / total * mask / jnp.maximum(count, 1.0)
    return shares


def _rows(weight: Array, like: Array) -> Array:
    return weight.reshape(-1, *[1] * (like.ndim - 1))
