"""The HowTo100M builder: `tfds build --imports tfds_builders.howto100m` finds it too."""

from tfds_builders.howto100m.howto100m import Howto100m

__all__ = ["Howto100m"]
