"""Pictures and pages about a run; uses only row files and arrays, not the training code."""
