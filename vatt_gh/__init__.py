"""VATT pre-training on noisy video with cross-modality gradient harmonization."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # On demand: it needs TensorFlow and media libraries, which the rest does without.
    if name == "load":
        from vatt_gh.evaluation.embedder import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
