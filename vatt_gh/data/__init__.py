"""Input: TFDS records to batches, through tf.data."""

import os

# Batches are so large that memory for each would come from the system, page by page; TensorFlow's
# own pool keeps it. Read when TensorFlow first needs memory.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
