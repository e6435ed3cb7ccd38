"""Scores the samples of a data set: which pictures, sounds and words do not belong together."""
