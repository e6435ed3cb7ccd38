"""Input: turns TFDS records into batches with tf.data."""

import os

# Memory for such large batches would come from the system, page by page; TensorFlow's own pool
# keeps it. Read when TensorFlow first allocates memory.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
