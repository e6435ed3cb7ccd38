"""The HowTo100M builder, for `tfds build --imports tfds_builders.howto100m`."""

from tfds_builders.builders import BUILDERS

Howto100m = BUILDERS["howto100m"]
