"""The YouTube-8M builder, for `tfds build --imports tfds_builders.youtube8m`."""

from tfds_builders.builders import BUILDERS

Youtube8m = BUILDERS["youtube8m"]
