"""Batches of a stream, and comparison of streams."""

import itertools

import numpy as np

from vatt_gh.data.pipeline import training_batches


def batches(sources, clock, config, count, *, position=0, host=0, hosts=1):
    """The first batches from a position."""
    stream = training_batches(
        sources, clock.tokenizer, config, position=position, host=host, hosts=hosts
    )
    return list(itertools.islice(stream, count))


def joined(shares):
    """The batches of several hosts as one host would have them."""
    return [
        tuple(
            {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            for parts in zip(*step, strict=True)
        )
        for step in zip(*shares, strict=True)
    ]


def assert_equal(left, right):
    """Bit for bit, dtypes too."""
    assert len(left) == len(right)
    for pair, other in zip(left, right, strict=True):
        for arrays, expected in zip(pair, other, strict=True):
            assert arrays.keys() == expected.keys()
            for name in arrays:
                assert arrays[name].dtype == expected[name].dtype
                np.testing.assert_array_equal(arrays[name], expected[name], name)
