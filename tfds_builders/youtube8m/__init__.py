"""The YouTube-8M builder: `tfds build --imports tfds_builders.youtube8m` finds it too."""

from tfds_builders.youtube8m.youtube8m import Youtube8m

__all__ = ["Youtube8m"]
