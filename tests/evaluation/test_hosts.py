"""What hosts have embedded, joined in the order of one host."""

import numpy as np
import pytest

from vatt_gh.data.clips import NUMBER
from vatt_gh.evaluation import hosts as module
from vatt_gh.evaluation.hosts import of_all_hosts
from vatt_gh.training.parallel import all_hosts


@pytest.mark.parametrize("seed", range(4))
def test_joined_parts_are_in_the_order_of_one_host(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    count, hosts = int(rng.integers(1, 40)), 4
    number = np.sort(rng.integers(0, 12, count))  # several windows of a record share one
    whole = {NUMBER: number, "x": rng.normal(size=(count, 3)), "seen": [(np.arange(count),)]}

    def rows(where):
        return {
            NUMBER: number[where],
            "x": whole["x"][where],
            "seen": [(whole["seen"][0][0][where],)],
        }

    parts = []
    for host in range(hosts):
        mine = np.flatnonzero(number % hosts == host)
        cut = int(rng.integers(0, len(mine) + 1))
        parts.append([rows(p) for p in (mine[:cut], mine[cut:]) if len(p)])
    monkeypatch.setattr(
        module, "all_hosts", lambda value: [value, *(module._joined(p) for p in parts[1:])]
    )
    found = of_all_hosts(parts[0])
    np.testing.assert_array_equal(found[NUMBER], number)
    np.testing.assert_array_equal(found["x"], whole["x"])
    np.testing.assert_array_equal(found["seen"][0][0], np.arange(count))


def test_one_host_knows_its_own_value_and_nothing_is_nothing():
    assert all_hosts({"a": b"c"}) == [{"a": b"c"}]
    assert of_all_hosts([]) is None
