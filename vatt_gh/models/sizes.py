"""The original's transformer sizes, and its named models as overrides of `config.model`.

config.model.update(sizes.MODELS["tx_fac_mbs"]())
"""

import dataclasses
from collections.abc import Callable
from typing import Any

Overrides = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Size:
    """Sizes of a transformer; the names are the keys of the configuration's towers."""

    layers: int
    d_model: int
    d_ff: int
    heads: int
    d_kv: int = 64

    def overrides(self) -> Overrides:
        """The sizes as configuration keys."""
        return dataclasses.asdict(self)


SIZES = {
    "small": Size(6, 512, 2048, 8),
    "base": Size(12, 768, 3072, 12),
    "medium": Size(12, 1024, 4096, 16),
    "large": Size(24, 1024, 4096, 16),
    "xlarge": Size(24, 1536, 4096, 24),
}


def tx_fac_bbs() -> Overrides:
    """Three towers: video base, sound base, text small."""
    return _three_towers("base")


def tx_fac_mbs() -> Overrides:
    """Three towers: video medium, sound base, text small; the original's default."""
    return _three_towers("medium")


def tx_fac_lbs() -> Overrides:
    """Three towers: video large, sound base, text small."""
    return _three_towers("large")


def ut_fac_medium() -> Overrides:
    """One shared encoder, medium."""
    return {"kind": "shared", "video": SIZES["medium"].overrides(), "d_post_proj": 1024}


MODELS: dict[str, Callable[[], Overrides]] = {
    "tx_fac_bbs": tx_fac_bbs,
    "tx_fac_mbs": tx_fac_mbs,
    "tx_fac_lbs": tx_fac_lbs,
    "ut_fac_medium": ut_fac_medium,
}


def _three_towers(video: str) -> Overrides:
    return {
        "kind": "three_tower",
        "video": SIZES[video].overrides(),
        "audio": SIZES["base"].overrides(),
        "text": {"kind": "t5", **SIZES["small"].overrides()},
    }
