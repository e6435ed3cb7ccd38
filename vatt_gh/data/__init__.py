"""Input: TFDS records to batches, through tf.data."""
