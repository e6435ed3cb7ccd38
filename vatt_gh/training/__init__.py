"""The training step, the loop around it, optimisers, checkpoints and metrics."""
