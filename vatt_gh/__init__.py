"""VATT pre-training on noisy video with cross-modality gradient harmonization."""

__version__ = "0.1.0"
