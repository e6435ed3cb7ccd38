"""Fine-tuning: a tower and a linear layer learn the classes of a downstream set.

original  what the original's fine-tunings have in common
task      the task: records to train on and to test on, and their classes
start     the tower's first parameters
step      one training step
score     the scores of test clips, each averaged over its views
run       the mode: from records to checkpoints and results
"""
