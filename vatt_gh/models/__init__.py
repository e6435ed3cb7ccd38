"""Flax modules of the VATT family; TensorFlow is never imported here."""
