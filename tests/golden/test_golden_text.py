"""Text towers: the same numbers as the original."""

import jax
import numpy as np
from golden.golden_set import close, golden, init_shapes, text_tower, weights

from vatt_gh.interop.names import text_tower_names
from vatt_gh.models.towers import word_mask
from vatt_gh.models.transformer import RelativePositionBias, relative_buckets


def check(name, tolerance):
    """Word and sentence features; returns the file and the parameters."""
    file = golden(name)
    module = text_tower(file.config)
    ids = file["in|word_ids"]
    shapes = init_shapes(module, ids, False)["params"]
    names = {path: f"model/{own}" for path, own in text_tower_names(shapes).items()}
    params = weights(shapes, names, file.part("w"))
    np.testing.assert_array_equal(word_mask(ids)[:, 1:], file["in|attention_mask"])
    sentences, words = jax.jit(lambda p: module.apply({"params": p}, ids, False))(params)
    close(sentences, file["out|sentence_embeddings"], tolerance)
    close(words, file["out|word_embeddings"], tolerance)
    return file, params


def test_golden_text_linear():
    check("text_linear", 2e-5)


def test_golden_text_bert():
    check("text_bert", 2e-5)


def test_golden_text_t5():
    file, params = check("text_t5", 5e-5)
    config = file.config
    expected = next(v for k, v in file.arrays.items() if k.startswith("mid|relative_bucket"))
    size = (config["num_relative_buckets"], config["max_relative_distance"])
    np.testing.assert_array_equal(relative_buckets(len(expected), *size), expected)
    bias = next(v for k, v in file.arrays.items() if k.startswith("mid|position_bias"))
    module = RelativePositionBias(config["num_heads"], *size)
    table = {"params": params["encoder"]["relative"]}
    close(module.apply(table, len(expected)), bias, 5e-5)
