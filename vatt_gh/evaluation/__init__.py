"""Evaluates a trained model: retrieval without further training, linear probes."""
