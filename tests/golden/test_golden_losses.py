"""Contrastive losses of both kinds, with all variants and masks, on one and two replicas.

The original averages each replica's losses over its own valid samples (`local_means`), so the
golden numbers are computed from our per-sample values. Our training step averages over the valid
samples of the global batch instead; a test compares this with the golden numbers of ONE replica,
which it must give on any number of devices.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.golden_set import close, golden, local_means
from small import TERMS

from vatt_gh import config as configuration
from vatt_gh.loss_terms import LOSS_TERMS
from vatt_gh.losses import NCE_KINDS, alignment_losses
from vatt_gh.training.gradients import loss_shares

TOLERANCE = 1e-5
KINDS = tuple(NCE_KINDS)
# Ours and the original's name of a pair, and its two modalities.
PAIRS = {
    "text": ("vidtxt", "video", "text"),
    "audio": ("vidaud", "video", "audio"),
    "audio_text": ("audtxt", "audio", "text"),
}
GOLDEN_NAMES = {
    "video_to_text": "v_totxt",
    "video_to_audio": "v_toaud",
    "audio_to_video": "a_tovid",
    "audio_to_text": "a_totxt",
    "text_to_video": "t_tovid",
    "text_to_audio": "t_toaud",
}


def embeddings():
    file = golden("losses")
    arrays = {ours: jnp.asarray(file[f"in|{own}"]) for ours, own in GOLDEN_NAMES.items()}
    count = len(arrays["video_to_text"])
    for name in ("text_to_video", "text_to_audio"):
        arrays[name] = arrays[name].reshape(count, -1, arrays[name].shape[-1])
    return arrays


def masks_of(name):
    """{'video', 'audio', 'text': [B] bool}, and those of them passed to the original."""
    file = golden("losses")
    given = {k.removesuffix("_mask"): v > 0 for k, v in file.part(f"in|mask_{name}").items()}
    everyone = jnp.ones(len(file["in|v_totxt"]), bool)
    return {m: jnp.asarray(given.get(m, everyone)) for m in ("video", "audio", "text")}, set(given)


def variant_of(name):
    """Temperature and the weights of the pairs."""
    given = golden("losses").config["variants"][name]
    pair_weights = {
        "text": given.get("vid_txt_weight", 1.0),
        "audio": given.get("vid_aud_weight", 1.0),
        "audio_text": given.get("aud_txt_weight", 0.0),
    }
    return given.get("temperature", 0.07), pair_weights


def replica_means(arrays, masks, kind, temperature, axis_name):
    """The original's mean of each pair on this replica.

    Its asymmetric form has no mask of the anchor: in the audio-text pair it includes the losses
    of samples without sound.
    """
    means = {}
    for name, (_, first, second) in PAIRS.items():
        anchor = masks[first] if kind == "symmetric_nce" else None
        other = arrays[f"{second}_to_{first}"]
        losses = NCE_KINDS[kind](
            arrays[f"{first}_to_{second}"],
            other[:, None] if other.ndim == 2 else other,
            masks[second],
            temperature=temperature,
            axis_name=axis_name,
            anchor_mask=anchor,
        )
        means[name] = local_means(losses, masks[second], *([] if anchor is None else [anchor]))
    return means


def total_of(means, pair_weights):
    return sum(pair_weights[n] * means[n] for n in means) / sum(pair_weights.values())


@functools.cache
def one_replica(kind):
    return jax.jit(lambda arrays, masks, t: replica_means(arrays, masks, kind, t, None))


@functools.cache
def two_replicas(kind):
    run = jax.pmap(
        lambda arrays, masks, t: replica_means(arrays, masks, kind, t, "replicas"),
        axis_name="replicas",
        in_axes=(0, 0, None),
    )

    def split(tree):
        return jax.tree.map(lambda x: x.reshape(2, len(x) // 2, *x.shape[1:]), tree)

    return lambda arrays, masks, t: run(split(arrays), split(masks), t)


def cases(kind):
    """(variant, mask) of every golden number of a loss."""
    keys = golden("losses").part(f"out|{kind}")
    return sorted({tuple(key.split("|")[:2]) for key in keys})


@pytest.mark.parametrize("kind", KINDS)
def test_golden_losses(kind):
    for variant, mask in cases(kind):
        expected = golden("losses").part(f"out|{kind}|{variant}|{mask}")
        temperature, pair_weights = variant_of(variant)
        means = one_replica(kind)(embeddings(), masks_of(mask)[0], temperature)
        what = f"{variant} {mask}"
        close(total_of(means, pair_weights), expected["loss"], TOLERANCE, what)
        for name, (theirs, _, _) in PAIRS.items():
            if pair_weights[name]:
                value = pair_weights[name] * means[name]
                close(value, expected[f"{theirs}_loss"], TOLERANCE, f"{what} {theirs}")


@pytest.mark.parametrize("kind", KINDS)
def test_golden_losses_on_two_replicas(kind):
    for variant, mask in cases(kind):
        expected = golden("losses").part(f"out|{kind}|{variant}|{mask}")["two_replica_losses"]
        temperature, pair_weights = variant_of(variant)
        means = two_replicas(kind)(embeddings(), masks_of(mask)[0], temperature)
        close(total_of(means, pair_weights), expected, TOLERANCE, f"{variant} {mask}")


@pytest.mark.parametrize("kind", KINDS)
def test_golden_losses_gradients(kind):
    temperature, pair_weights = variant_of("default")

    @jax.jit
    @jax.grad
    def gradient(arrays, masks):
        return total_of(replica_means(arrays, masks, kind, temperature, None), pair_weights)

    keys = golden("losses").part(f"g|{kind}|default")
    for mask in sorted({key.split("|")[0] for key in keys}):
        found = gradient(embeddings(), masks_of(mask)[0])
        for ours, theirs in GOLDEN_NAMES.items():
            if f"{mask}|{theirs}" in keys:
                close(found[ours], keys[f"{mask}|{theirs}"], TOLERANCE, f"{mask} {theirs}")


@pytest.mark.parametrize("kind", KINDS)
def test_means_over_the_global_batch_do_not_depend_on_the_devices(kind):
    """OUR normalisation: on two devices the golden loss of one replica, for any mask."""
    file = golden("losses")

    def share(arrays, masks, config, axis_name):
        losses = alignment_losses(
            arrays,
            masks,
            TERMS,
            kind=kind,
            temperature=config.loss.temperature,
            axis_name=axis_name,
        )
        everywhere = jnp.ones_like(masks["audio"])
        batch = {f"{m}_mask": masks.get(m, everywhere) for m in ("video", "audio", "text")}
        shares = loss_shares(batch, config.loss, axis_name)
        return sum(jnp.sum(shares[n] * losses[n]) for n in shares)

    config = configuration.default()
    config.loss.temperature, pair_weights = variant_of("default")
    config.loss.video_audio_weight = pair_weights["audio"]
    config.loss.video_text_weight = pair_weights["text"]
    two = {n: x for n, x in embeddings().items() if n not in ("audio_to_text", "text_to_audio")}
    run = jax.pmap(lambda a, m: share(a, m, config, "replicas"), axis_name="replicas")
    for variant, mask in cases(kind):
        masks, given = masks_of(mask)
        if variant != "default" or "video" in given:
            continue
        del masks["video"]
        halves = jax.tree.map(lambda x: x.reshape(2, -1, *x.shape[1:]), (two, masks))
        expected = file[f"out|{kind}|default|{mask}|loss"]
        close(np.sum(run(*halves)), expected, TOLERANCE, mask)


@pytest.mark.parametrize("kind", KINDS)
def test_the_third_pair_counts_samples_that_have_both_modalities(kind):
    """Sound with text: a sample that lacks one of them has no loss and is never a negative."""
    masks, _ = masks_of("partial")
    del masks["video"]
    arrays = embeddings()

    @jax.jit
    def losses_of(arrays):
        terms = [t for t in LOSS_TERMS.values() if f"{t.anchor}_to_{t.other}" in arrays]
        return alignment_losses(arrays, masks, terms, kind=kind, temperature=0.07, axis_name=None)

    losses = losses_of(arrays)
    both = np.asarray(masks["audio"] & masks["text"])
    assert 0 < both.sum() < len(both)
    np.testing.assert_array_equal(np.asarray(losses["audio_text"]) > 0, both)
    other = {**arrays}
    for name, valid in (("audio_to_text", "audio"), ("text_to_audio", "text")):
        own = masks[valid].reshape(-1, *[1] * (arrays[name].ndim - 1))
        other[name] = jnp.where(own, arrays[name], arrays[name] + 1.0)
    changed = losses_of(other)
    np.testing.assert_allclose(changed["audio_text"], losses["audio_text"], rtol=1e-6)
    two = {n: x for n, x in arrays.items() if n not in ("audio_to_text", "text_to_audio")}
    pairs = losses_of(two)
    assert pairs.keys() == {"video_audio", "video_text"}
    np.testing.assert_allclose(pairs["video_text"], losses["video_text"], rtol=1e-6)
