"""Thin TFDS builders; vatt_gh.media does the reading."""
