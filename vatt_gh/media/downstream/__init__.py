"""Readers of the evaluation sets: one module per set, each with list_clips(manual_dir)."""
