"""What a trained model is worth: retrieval without further training, linear probes."""
