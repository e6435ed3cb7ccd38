"""Reads and writes the original's TensorFlow checkpoints; imports TensorFlow when they are opened.

`names` gives our parameters the original's names, `transfer` moves arrays by these names, and
`tf_checkpoint` does so with files. The first two know nothing of TensorFlow.
"""
