"""Contrastive losses, one value a sample, with negatives from all devices.

Reference: Akbari et al., VATT (2021), section 3.4; the exact form is the released objective's.
A valid sample's loss is its own; reduction over samples happens once, in the training step.
"""

import jax
import jax.numpy as jnp

Array = jax.Array

# Added to the scores of invalid samples, as in the original.
_MASKED = -1e9


def gather(x: Array, axis_name: str | None) -> Array:
    """Rows of all devices: [b, ...] -> [devices * b, ...]; without an axis, x itself."""
    if axis_name is None:
        return x
    return jax.lax.all_gather(x, axis_name, axis=0, tiled=True)


def asymmetric_nce(
    video: Array, other: Array, mask: Array, *, temperature: float, axis_name: str | None
) -> Array:
    """One log ratio a sample, with a joint row and column denominator.

        s(i, j, c) = <video_i, other_jc> / temperature     (unit vectors)
        l_i = log(sum_jc exp s(i,j,c) + sum_jc exp s(j,i,c)) - log sum_c exp s(i,i,c)

    The positives stand twice in the denominator, so l_i >= log 2. All C candidates of a sample
    are positives (the MIL form).

    Args:
        video: [b, D] float32.
        other: [b, C, D] float32 candidates of the other modality.
        mask: [b] bool, True where the sample has the other modality; invalid candidates are
            nobody's negatives.
        temperature: of the scores.
        axis_name: named axis of the devices, or None.

    Returns:
        [b] float32; what stands at an invalid sample has no meaning.
    """
    video, other = _unit(video), _unit(other)
    all_video, all_other = gather(video, axis_name), gather(other, axis_name)
    invalid = _MASKED * (1.0 - mask.astype(jnp.float32))
    rows = jnp.einsum("id,jcd->ijc", video, all_other) / temperature
    rows = rows + gather(invalid, axis_name)[None, :, None]
    columns = jnp.einsum("jd,icd->ijc", all_video, other) / temperature
    columns = columns + invalid[:, None, None]
    positives = jnp.einsum("id,icd->ic", video, other) / temperature
    both = jnp.concatenate([_flat(rows), _flat(columns)], axis=1)
    logsumexp = jax.nn.logsumexp
    return logsumexp(both, axis=1) - logsumexp(positives, axis=1)


def symmetric_nce(
    video: Array, other: Array, mask: Array, *, temperature: float, axis_name: str | None
) -> Array:
    """Sum of the two directions, each with its own denominator.

        l_i = log(sum_jc exp s(i,j,c)) + log(sum_jc exp s(j,i,c)) - 2 log sum_c exp s(i,i,c)

    Arguments and result as in `asymmetric_nce`.
    """
    video, other = _unit(video), _unit(other)
    all_video, all_other = gather(video, axis_name), gather(other, axis_name)
    invalid = _MASKED * (1.0 - mask.astype(jnp.float32))
    all_invalid = gather(invalid, axis_name)
    rows = jnp.einsum("id,jcd->ijc", video, all_other)
    rows = (rows + all_invalid[None, :, None] + invalid[:, None, None]) / temperature
    columns = jnp.einsum("jd,icd->ijc", all_video, other)
    columns = (columns + all_invalid[None, :, None] + invalid[:, None, None]) / temperature
    positives = jnp.einsum("id,icd->ic", video, other)
    positives = (positives + invalid[:, None]) / temperature
    logsumexp = jax.nn.logsumexp
    positive = logsumexp(positives, axis=1)
    return logsumexp(_flat(rows), axis=1) + logsumexp(_flat(columns), axis=1) - 2 * positive


LOSSES = {"asymmetric_nce": asymmetric_nce, "symmetric_nce": symmetric_nce}


def alignment_losses(
    embeddings: dict[str, Array],
    masks: dict[str, Array],
    *,
    kind: str,
    temperature: float,
    axis_name: str | None,
) -> dict[str, Array]:
    """Both cross-modality alignment losses of every sample.

    Args:
        embeddings: of the heads: 'video_to_audio' [b, D], 'video_to_text' [b, E],
            'audio_to_video' [b, D], 'text_to_video' [b, K, E].
        masks: 'audio' and 'text', [b] bool, True where the sample has the modality.
        kind: a name of LOSSES.
        temperature: of the scores.
        axis_name: named axis of the devices, or None.

    Returns:
        'audio' and 'text': [b] float32, zero where the sample lacks the modality.
    """
    loss = LOSSES[kind]
    others = {
        "audio": embeddings["audio_to_video"][:, None, :],
        "text": embeddings["text_to_video"],
    }
    return {
        name: jnp.where(
            masks[name],
            loss(
                embeddings[f"video_to_{name}"],
                other,
                masks[name],
                temperature=temperature,
                axis_name=axis_name,
            ),
            0.0,
        )
        for name, other in others.items()
    }


def _unit(x: Array) -> Array:
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, axis=-1, keepdims=True), 1e-12))


def _flat(scores: Array) -> Array:
    return scores.reshape(scores.shape[0], -1)
