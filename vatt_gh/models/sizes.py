"""The original's transformer sizes, and its named models as overrides of `config.model`.

config.model.update(sizes.MODELS["tx_fac_mbs"]())
"""

from collections.abc import Callable, Mapping
from typing import Any

Overrides = dict[str, Any]


def _size(layers: int, d_model: int, d_ff: int, heads: int) -> Overrides:
    return {"layers": layers, "d_model": d_model, "d_ff": d_ff, "heads": heads, "d_kv": 64}


TOWER_SIZES = {
    "small": _size(6, 512, 2048, 8),
    "base": _size(12, 768, 3072, 12),
    "medium": _size(12, 1024, 4096, 16),
    "large": _size(24, 1024, 4096, 16),
}


def _three_towers(video: str) -> Overrides:
    return {
        "kind": "three_tower",
        "video": TOWER_SIZES[video],
        "audio": TOWER_SIZES["base"],
        "text": {"kind": "t5", **TOWER_SIZES["small"]},
    }


# The letters are the sizes of video, sound and text; tx_fac_mbs is the original's default.
MODELS: dict[str, Callable[[], Overrides]] = {
    "tx_fac_bbs": lambda: _three_towers("base"),
    "tx_fac_mbs": lambda: _three_towers("medium"),
    "tx_fac_lbs": lambda: _three_towers("large"),
    "ut_fac_medium": lambda: {
        "kind": "shared",
        "video": TOWER_SIZES["medium"],
        "d_post_proj": 1024,
    },
}


def is_named(model: Mapping[str, Any], name: str) -> bool:
    """Tells whether a model has the kind and the sizes of a named one.

    Args:
        model: `config.model`.
        name: a key of MODELS.
    """

    def holds(found: Mapping[str, Any], wanted: Overrides) -> bool:
        return all(
            holds(found[key], value) if isinstance(value, dict) else found[key] == value
            for key, value in wanted.items()
        )

    return holds(model, MODELS[name]())
