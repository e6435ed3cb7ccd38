"""Clips shared by hosts: each belongs to one."""

import numpy as np
import pytest

from vatt_gh.data.clips import NUMBER, captioned_clips


def of_host(clock, config, most, host, hosts):
    """The clips of a host, one by one."""
    batches = captioned_clips(
        clock.source, clock.tokenizer, config.data, size=4, most=most, host=host, hosts=hosts
    )
    return [{n: x[k] for n, x in b.items()} for b in batches for k in range(len(b["start"]))]


@pytest.mark.parametrize(("hosts", "most"), [(2, -1), (3, 5), (7, 5)])
def test_every_clip_belongs_to_one_host(clock, clock_config, hosts, most):
    alone = of_host(clock, clock_config, most, 0, 1)
    assert len(alone) == (26 if most < 0 else most)
    shares = [of_host(clock, clock_config, most, host, hosts) for host in range(hosts)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    together = sorted((clip for share in shares for clip in share), key=lambda c: c[NUMBER])
    assert len(together) == len(alone)
    for mine, expected in zip(together, alone, strict=True):
        for name, value in expected.items():
            np.testing.assert_array_equal(mine[name], value, err_msg=name)
