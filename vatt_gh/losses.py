"""Losses, one value per sample: contrastive, with negatives from all devices, and classifiers'.

Reference: Akbari et al., VATT (2021), section 3.4; the exact form is the released objective's.
Losses are reduced over valid samples once, in the training step.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vatt_gh.loss_terms import LossTerm

Array = jax.Array

# Replaces the scores of invalid samples; the original adds it to them.
_MASKED = -1e9


def gathered(x: Array, axis_name: str | None) -> Array:
    """Gathers rows of all devices: [b, ...] -> [devices * b, ...]; without an axis, x itself."""
    # As harmonize.devices.gathered, because neither imports the other.
    if axis_name is None:
        return x
    return jax.lax.all_gather(x, axis_name, axis=0, tiled=True)


def asymmetric_nce(
    anchor: Array,
    other: Array,
    mask: Array,
    *,
    temperature: float,
    axis_name: str | None,
    anchor_mask: Array | None = None,
) -> Array:
    """Computes one log ratio per sample, with a joint row and column denominator.

        s(i, j, c) = <anchor_i, other_jc> / temperature     (unit vectors)
        l_i = log(sum_jc exp s(i,j,c) + sum_jc exp s(j,i,c)) - log sum_c exp s(i,i,c)

    The positives occur twice in the denominator, so l_i >= log 2. All C candidates of a sample
    are positives (the MIL form).

    Args:
        anchor: [b, D] float32, the video (or the sound, if it is compared with text).
        other: [b, C, D] float32 candidates of the other modality.
        mask: [b] bool, True where the sample has the other modality; invalid candidates are never
            negatives.
        temperature: temperature of the scores.
        axis_name: named axis of the devices, or None.
        anchor_mask: [b] bool, True where the sample has the anchor's modality, or None for all;
            in the original, only the symmetric form has it.

    Returns:
        [b] float32; values of invalid samples are meaningless.
    """
    rows, columns, positives = _scores(anchor, other, mask, anchor_mask, temperature, axis_name)
    both = jnp.concatenate([rows, columns], axis=1)
    return jax.nn.logsumexp(both, axis=1) - jax.nn.logsumexp(positives, axis=1)


def symmetric_nce(
    anchor: Array,
    other: Array,
    mask: Array,
    *,
    temperature: float,
    axis_name: str | None,
    anchor_mask: Array | None = None,
) -> Array:
    """Sums the two directions, each with its own denominator.

        l_i = log(sum_jc exp s(i,j,c)) + log(sum_jc exp s(j,i,c)) - 2 log sum_c exp s(i,i,c)

    Arguments and result as in `asymmetric_nce`.
    """
    scores = _scores(anchor, other, mask, anchor_mask, temperature, axis_name)
    rows, columns, positives = (jax.nn.logsumexp(x, axis=1) for x in scores)
    return rows + columns - 2 * positives


def _scores(
    anchor: Array,
    other: Array,
    mask: Array,
    anchor_mask: Array | None,
    temperature: float,
    axis_name: str | None,
) -> tuple[Array, Array, Array]:
    """Scores this device's samples with all samples: s(i,j,c), s(j,i,c) [b, B * C]; s(i,i,c).

    A constant replaces scores with invalid samples of the other side. If it were added, then in a
    batch without any text only rounding would be left of the scores, and their gradients would not
    be finite.
    """
    anchor, other = _unit(anchor), _unit(other)
    scores = jnp.einsum("id,jcd->ijc", anchor, gathered(other, axis_name)) / temperature
    rows = jnp.where(gathered(mask, axis_name)[None, :, None], scores, _MASKED)
    columns = jnp.einsum("jd,icd->ijc", gathered(anchor, axis_name), other) / temperature
    if anchor_mask is not None:
        columns = jnp.where(gathered(anchor_mask, axis_name)[None, :, None], columns, _MASKED)
    return _flat(rows), _flat(columns), jnp.einsum("id,icd->ic", anchor, other) / temperature


NCE_KINDS = {"asymmetric_nce": asymmetric_nce, "symmetric_nce": symmetric_nce}


def alignment_losses(
    embeddings: dict[str, Array],
    masks: dict[str, Array],
    terms: Sequence[LossTerm],
    *,
    kind: str,
    temperature: float,
    axis_name: str | None,
) -> dict[str, Array]:
    """Computes the cross-modality alignment losses of every sample.

    Args:
        embeddings: embeddings of the heads, two per term: 'video_to_audio' [b, D], 'audio_to_video'
            [b, D], 'video_to_text' [b, E], 'text_to_video' [b, K, E], ...
        masks: [b] bool by modality, True where the sample has it; every sample has a modality
            without a mask.
        terms: the losses to compute.
        kind: a name of NCE_KINDS.
        temperature: temperature of the scores.
        axis_name: named axis of the devices, or None.

    Returns:
        [b] float32 by loss term, zero where the sample lacks one of the two modalities.
    """
    losses = {}
    for term in terms:
        anchor = embeddings[f"{term.anchor}_to_{term.other}"]
        other = embeddings[f"{term.other}_to_{term.anchor}"]
        mask = masks.get(term.other, jnp.ones(len(other), bool))
        loss = NCE_KINDS[kind](
            anchor,
            other[:, None, :] if other.ndim == 2 else other,
            mask,
            temperature=temperature,
            axis_name=axis_name,
            anchor_mask=masks.get(term.anchor),
        )
        valid = mask & masks.get(term.anchor, True)
        losses[term.name] = jnp.where(valid, loss, 0.0)
    return losses


def softmax_loss(logits: Array, labels: Array) -> Array:
    """Computes the cross-entropy with one class per sample.

    Args:
        logits: [b, K] float32.
        labels: [b, K] float32, a distribution over the classes (smoothed or mixed).

    Returns:
        [b] float32.
    """
    return -jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1)


def weighted_sigmoid_loss(logits: Array, labels: Array, *, axis_name: str | None) -> Array:
    """Computes sigmoid cross-entropy; samples with rare classes in the batch weigh more.

        weight_i = sum_c (y_ic / n_c) / sum_c y_ic,   n_c = sum_i y_ic over the global batch
        l_i = weight_i sum_c CE(y_ic, logit_ic)

    The original counts n_c on each replica separately.

    Args:
        logits: [b, K] float32.
        labels: [b, K] float32 in [0, 1].
        axis_name: named axis of the devices, or None.

    Returns:
        [b] float32; zero for a sample without any class.
    """
    counts = jnp.sum(labels, axis=0)
    if axis_name is not None:
        counts = jax.lax.psum(counts, axis_name)
    rarity = jnp.where(counts > 0, 1.0 / jnp.where(counts > 0, counts, 1.0), 0.0)
    present = jnp.sum(labels, axis=-1)
    weight = labels @ rarity / jnp.where(present > 0, present, 1.0)
    entropy = jax.nn.softplus(logits) - labels * logits
    return weight * jnp.sum(entropy, axis=-1)


def _unit(x: Array) -> Array:
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, axis=-1, keepdims=True), 1e-12))


def _flat(scores: Array) -> Array:
    return scores.reshape(scores.shape[0], -1)
