"""Video and audio towers: the same numbers as the original."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from golden.golden_set import audio_tower, close, golden, init_shapes, video_tower, weights

from vatt_gh.interop.names import grid_tower_names

BUILDERS = {"video": video_tower, "audio": audio_tower}


def tower_of(file, name):
    """The module and its golden parameters."""
    module = BUILDERS[name.split("_")[0]](file.config)
    shapes = init_shapes(module, file["in|x"][0], None, False)["params"]
    names = {path: f"model/{own}" for path, own in grid_tower_names(shapes).items()}
    return module, weights(shapes, names, file.part("w"))


def check(name, tolerance):
    """Outputs and intermediates at evaluation, and in training if DropToken's indices are given."""
    file = golden(name)
    module, params = tower_of(file, name)
    run = functools.partial(module.apply, {"params": params}, capture_intermediates=True)
    (pooled, tokens), state = jax.jit(jax.vmap(lambda x: run(x, None, False)))(file["in|x"])
    close(pooled, file["out|features_pooled"], tolerance)
    close(tokens, file["out|features"], tolerance)
    seen = state["intermediates"]
    close(seen["tokens"]["embed"]["__call__"][0], file["mid|patch_embeddings"], tolerance)
    close(seen["tokens"]["Dropout_0"]["__call__"][0], file["mid|pos_embedded"], tolerance)
    close(seen["encoder"]["__call__"][0], file["mid|tx_last_hidden"], tolerance)
    close(attention_weights(seen, file.config), file["mid|attention_layer0"], tolerance)
    if "in|perm" in file.arrays:
        keep = jnp.asarray(file["in|perm"][: int(file["in|max_num_patches"])])
        (pooled, tokens), _ = jax.jit(jax.vmap(lambda x: run(x, keep, True)))(file["in|x"])
        close(pooled, file["out|train_features_pooled"], tolerance)
        close(tokens, file["out|train_features"], tolerance)


def attention_weights(seen, config):
    """[B, heads, N, N] weights of the first layer, from its captured queries and keys."""
    layer = seen["encoder"]["layer_0"]["attention"]
    query, key = (
        np.asarray(layer[name]["__call__"][0]).reshape(
            *layer[name]["__call__"][0].shape[:2], config["num_heads"], config["d_kv"]
        )
        for name in ("query", "key")
    )
    scores = np.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(config["d_kv"])
    return jax.nn.softmax(scores)


def test_golden_video():
    check("video", 2e-5)


def test_golden_video_droptoken():
    check("video_droptoken", 2e-5)


def test_golden_video_prepost():
    check("video_prepost", 2e-5)


def test_golden_video_interp():
    check("video_interp", 5e-5)


def test_golden_audio_wav():
    check("audio_wav", 2e-5)


def test_golden_audio_wav_droptoken():
    check("audio_wav_droptoken", 2e-5)


def test_golden_audio_spec():
    check("audio_spec", 2e-5)
