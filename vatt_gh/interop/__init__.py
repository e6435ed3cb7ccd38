"""Reads the original's TensorFlow checkpoints; imports TensorFlow only when needed.

`names` gives our parameters the original's names, `transfer` moves arrays by these names, and
`tf_checkpoint` reads the files. The first two do not depend on TensorFlow.
"""
