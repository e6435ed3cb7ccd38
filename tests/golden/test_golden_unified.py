"""The shared encoder after three tokenizers: the same numbers as the original."""

import jax
import jax.numpy as jnp
from golden.golden_set import close, golden, init_shapes, shared_encoder, weights

from vatt_gh.interop.names import shared_names

TOLERANCE = 2e-5


def check(name):
    """Features of all modalities, also in training if DropToken's indices are given."""
    file = golden(name)
    module = shared_encoder(file.config)
    count = len(file["in|video"])
    batch = {
        "video": file["in|video"],
        "audio": file["in|audio"][..., 0],
        "text": file["in|word_ids"].reshape(count, -1, file["in|word_ids"].shape[-1]),
    }
    sample = {m: x[0] for m, x in batch.items()}
    shapes = init_shapes(module, sample, {}, False)["params"]
    names = {path: f"model/{own}" for path, own in shared_names(shapes).items()}
    params = weights(shapes, names, file.part("w"))

    def compare(keep, train, prefix):
        def run(sample):
            return module.apply({"params": params}, sample, keep, train, method="features")

        for modality, (pooled, tokens) in jax.jit(jax.vmap(run))(batch).items():
            key = f"{prefix}|{modality}|features"
            close(pooled, file[f"{key}_pooled"], TOLERANCE, key)
            close(tokens, file[key], TOLERANCE, key)

    compare({}, False, "out")
    kept = {
        m: jnp.asarray(file[f"in|perm_{m}"][: file[f"out|train|{m}|features"].shape[1]])
        for m in ("video", "audio")
        if f"in|perm_{m}" in file.arrays
    }
    if kept:
        compare(kept, True, "out|train")


def test_golden_unified():
    check("unified")


def test_golden_unified_droptoken():
    check("unified_droptoken")
