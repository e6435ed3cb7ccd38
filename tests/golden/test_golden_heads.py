"""Projection heads at evaluation and in training: the same numbers as the original."""

import jax
import pytest
from golden.golden_set import close, golden, head, init_shapes, weights

from vatt_gh.interop.names import head_names

TOLERANCE = 1e-5
OUTPUTS = {
    "video_to_audio": "video|toaud",
    "video_to_text": "video|totxt",
    "audio_to_video": "audio|tovid",
    "text_to_video": "text|tovid",
}


@pytest.mark.parametrize("name", ["head_fac", "head_joint"])
def test_golden_heads(name):
    file = golden(name)
    module = head(file.config)
    features = file.part("in")
    count = len(features["video"])
    features["text"] = features["text"].reshape(count, -1, features["text"].shape[-1])
    shapes = init_shapes(module, features, False)
    source = file.part("w")
    names = {
        (kind, *path): f"model/{own}"
        for kind in shapes
        for path, own in head_names(shapes[kind]).items()
    }
    variables = weights(shapes, names, source)
    out = module.apply(variables, features, False)
    for ours, theirs in OUTPUTS.items():
        close(out[ours], file[f"out|eval|{theirs}"], TOLERANCE, ours)
    out, changed = module.apply(variables, features, True, mutable=["batch_stats"])
    for ours, theirs in OUTPUTS.items():
        close(out[ours], file[f"out|train|{theirs}"], TOLERANCE, ours)
    after = file.part("after_train")
    statistics = weights(
        shapes["batch_stats"],
        {path[1:]: name for path, name in names.items() if path[0] == "batch_stats"},
        after,
    )
    jax.tree.map(lambda a, b: close(a, b, TOLERANCE), changed["batch_stats"], statistics)
