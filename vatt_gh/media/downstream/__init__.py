"""What the sets for evaluation hold: one file a set, each with list_clips(manual_dir)."""
