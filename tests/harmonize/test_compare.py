"""The comparison of the engines that users run on their own models."""

import jax
import jax.numpy as jnp
import pytest
from encoders import made
from inputs import BATCH, FEATURES

from vatt_gh.harmonize import compare_engines, recording

TARGETS = jax.random.normal(jax.random.key(3), (2, BATCH, FEATURES))


def losses(features):
    return {"a": (features - TARGETS[0]) ** 2, "b": (features - TARGETS[1]) ** 2}


def test_engines_agree_and_what_is_formed_is_named():
    found = compare_engines(*made("tied by hand"), losses, microbatch=2)
    assert max(found.differences.values()) < 1e-5 and found.cosine < 1e-5
    assert set(found.differences) == {
        ("dense", "bias"),
        ("dense", "kernel"),
        ("embed", "embedding"),
    }
    assert found.formed[("embed", "embedding")] == "is used in several forms"
    assert ("dense", "kernel") not in found.formed
    assert "embed/embedding is used in several forms" in str(found)


def test_an_error_of_a_recording_is_seen(monkeypatch):
    """With wrong recorded data of every product, kernels are wrong, and the worst is named."""
    original = recording.record
    monkeypatch.setattr(recording, "record", lambda y, x, slot: original(y, 2 * x, slot))
    found = compare_engines(*made("siamese"), losses)
    assert found.worst[-1] == "kernel" and found.differences[found.worst] > 0.5
    assert found.cosine > 1e-3


def test_what_is_not_a_number_is_the_worst():
    encode, params, inputs = made("siamese")
    params = params | {"z": jnp.zeros(2)}
    broken = lambda p, x: encode(p, x) + 0 * jnp.sqrt(p["z"]).sum()  # noqa: E731
    found = compare_engines(broken, params, inputs, losses, shared=lambda path: path != ("z",))
    assert found.worst == ("z",) and "nan (z)" in str(found)


def test_other_options_are_named():
    with pytest.raises(ValueError, match="engine, sketch: expected options of attribution, "):
        compare_engines(*made("siamese"), losses, engine="vmap", sketch=3)


def test_it_is_no_part_of_a_program():
    encode, params, inputs = made("siamese")
    with pytest.raises(ValueError, match=r"call it outside of jax.jit"):
        jax.jit(lambda p: jnp.float32(compare_engines(encode, p, inputs, losses).cosine))(params)
