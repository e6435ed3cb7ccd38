"""What users have on disk: video files and captions. TensorFlow and JAX are never imported here."""
