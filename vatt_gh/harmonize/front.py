"""Harmonized gradients of any encoder of independent samples, under any two or more losses."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from vatt_gh.harmonize.arguments import (
    Losses,
    as_arrays,
    as_function,
    as_list,
    as_mask,
    batch_size,
    check_features,
    check_functions,
)
from vatt_gh.harmonize.attribution import feature_cotangents
from vatt_gh.harmonize.compose import encoded
from vatt_gh.harmonize.devices import over_mean_weight
from vatt_gh.harmonize.engines import as_engine
from vatt_gh.harmonize.interface import Encode, Engine, Pass, Request, Shared
from vatt_gh.harmonize.method import Coefficients, Method
from vatt_gh.harmonize.trees import Tree

Array = jax.Array
_BOTH_PARTS = Method(realign=True, curriculum=True)


class Harmonized(NamedTuple):
    """The result of `harmonized_gradients`.

    Attributes:
        gradients: like params; summed over devices, divided by the mean weight.
        losses: [L] float32, the losses on this device.
        features: features of the encoder, [B, ...].
        coefficients: decisions for each sample: its weight, cosine, and the factor of each loss.
    """

    gradients: Tree
    losses: Array
    features: Tree
    coefficients: Coefficients


def harmonized_gradients(
    encoder: nn.Module | Encode,
    params: Tree,
    inputs: Tree,
    losses: Callable[[Tree], Losses],
    *,
    method: Method = _BOTH_PARTS,
    cutoff: Array | float = 0.0,
    attribution: str = "embedding",
    engine: Engine | str = "ghost",
    shared: Shared = lambda path: True,
    complete: Array | Sequence[bool] | None = None,
    microbatch: int = 0,
    group: int = 1,
    key: Array | None = None,
    axis_name: str | None = None,
) -> Harmonized:
    """Computes gradients in which the losses of a sample do not oppose each other.

    With h_i the features of sample i, its gradient in loss l is (dh_i/dparams)^T dL_l/dh_i. These
    sum to the ordinary gradient of the summed losses, which is returned if nothing conflicts and
    nothing is dropped.

    Ghost and Vmap give the same numbers for any encoder, up to rounding, which differs in types
    narrower than float32. The ghost engine inspects every use of a parameter in the trace of one
    sample. If each use is a product with data, or a lookup of rows in a table larger than the
    result, it needs no per-sample gradients. For all other parameters it forms gradients sample by
    sample, which takes samples x parameters of memory. The log names these once, with the reason,
    except vectors and parameters that are added to, multiplied with or joined to data of at least
    their size. `compare_engines` lists them for your model, and checks that the engines agree.

    Args:
        encoder: a Flax module that is called with one sample, or any function (params, sample) ->
            features. A sample's features must depend on that sample alone.
        params: parameters of the encoder, a tree of floating arrays.
        inputs: tree of [B, ...] arrays, one entry a sample. Random keys are inputs like others.
        losses: features [B, ...] -> L >= 2 losses, as a sequence, a dict, or an array [L] or
            [L, B]; each loss is [], or [B, ...], which is summed. They may couple samples, and
            devices through collectives.
        method: realignment, curriculum, or both.
        cutoff: threshold of the curriculum on the cosine, such as `gamma_schedule(step, ...)`;
            where the method selects by share, such as `share_schedule(step, ...)`.
        attribution: "embedding" or "anchor", see `feature_cotangents`.
        engine: "ghost"; "vmap", the direct implementation of the method, slow; or an engine, such
            as Ghost(sketch=64) or AtFeatures(), which compares no parameter.
        shared: whether all losses reach a parameter, given by its path of names; inner products
            are taken over these parameters.
        complete: [B] truth values, False for samples that lack one of the losses: they have no
            conflict, and weight 1. None: all are complete.
        microbatch: samples that the encoder processes at a time; divides B; 0: all.
        group: samples that share one decision, neighbours in the batch; divides B and the
            microbatch; 1: each sample alone.
        key: random key of the step, for an engine that draws random numbers, as a sketch does.
        axis_name: named axis of the devices that share the batch, or None.

    Returns:
        See Harmonized.

    Raises:
        ValueError: an argument has a value that is not listed above, there is only one loss, or
            the module needs more than its parameters.
    """
    engine = as_engine(engine)
    check_functions(losses, shared, method, cutoff, microbatch, group)
    method = dataclasses.replace(method, axis_name=axis_name)
    encode = as_function(encoder, params)
    params = as_arrays(params, shared)
    count = batch_size(inputs)
    whole = as_mask(complete, count)
    if method.curriculum and method.select == "share" and microbatch not in (0, count):
        raise ValueError(
            f'microbatch={microbatch} with select="share": expected 0, because the share is that '
            "of the whole batch"
        )

    def values_of(features: Tree) -> list[Array]:
        return as_list(losses(features), count)

    features = jax.eval_shape(jax.vmap(encode, in_axes=(None, 0)), params, inputs)
    check_features(features)
    number = len(jax.eval_shape(values_of, features))
    passes = [Pass(inputs, tuple(range(number)))]
    request = Request(number, shared, microbatch, key)
    forward = encoded(engine, encode, params, passes, request, group)
    [features] = forward.features
    values, pullback = jax.vjp(values_of, features)
    cotangents = feature_cotangents(
        lambda given: pullback(given)[0], values, attribution, axis_name
    )
    gradients, decided = forward.harmonized([dict(enumerate(cotangents))], method, cutoff, whole)
    gradients, _ = over_mean_weight(gradients, decided.weight, axis_name)
    totals = jnp.stack([jnp.sum(value).astype(jnp.float32) for value in values])
    return Harmonized(gradients, totals, features, decided)
