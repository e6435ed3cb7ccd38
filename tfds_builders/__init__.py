"""TFDS builders; thin: reading is vatt_gh.media's."""
