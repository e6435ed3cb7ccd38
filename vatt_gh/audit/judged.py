"""What an audit ranks clips by."""

# The score that judges each modality, by value of audit.by; "" stands for the whole clip.
JUDGED = {
    "loss": {"text": "loss_text", "audio": "loss_audio"},
    "similarity": {"text": "similarity_text", "audio": "similarity_audio"},
    "cosine": {"": "cosine"},
}
