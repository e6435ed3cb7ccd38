"""The demo: renders a small narrated corpus as real media files, and runs every station on it."""
