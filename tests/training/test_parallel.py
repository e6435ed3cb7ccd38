"""Moving batches and states to all devices."""

import threading

import jax
import numpy as np
import pytest
from training.same import assert_same_on_all_devices

from vatt_gh.training import parallel
from vatt_gh.training.parallel import (
    all_hosts,
    prefetch,
    replicate,
    split,
    to_global,
    to_local,
)


def batches(count, taken):
    for number in range(count):
        taken.append(number)
        yield {"x": np.arange(8 * 3).reshape(8, 3) + 100 * number}, f"host {number}"


def test_split_gives_each_device_neighbouring_samples():
    parts = split({"x": np.arange(24).reshape(8, 3), "mask": np.arange(8) > 4})
    assert parts["x"].shape == (4, 2, 3) and parts["mask"].shape == (4, 2)
    np.testing.assert_array_equal(parts["x"][1], [[6, 7, 8], [9, 10, 11]])
    np.testing.assert_array_equal(parts["x"].reshape(8, 3), np.arange(24).reshape(8, 3))


@pytest.mark.parametrize("size", [0, 2, 9])
def test_prefetch_keeps_order_and_gives_out_every_batch(size):
    out = list(prefetch(batches(5, []), size))
    assert [host for _, host in out] == [f"host {number}" for number in range(5)]
    for number, (arrays, _) in enumerate(out):
        np.testing.assert_array_equal(
            np.asarray(arrays["x"]).reshape(8, 3), np.arange(24).reshape(8, 3) + 100 * number
        )


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_hosts_exchange_values_of_any_length_in_blocks(block, monkeypatch):
    """Two hosts in two threads, which meet at every exchange."""
    values = ["short", {"a": list(range(100))}]
    meeting, given = threading.Barrier(2), {}

    def process_allgather(array):
        given[threading.get_ident()] = array
        meeting.wait()
        both = np.stack([given[identity] for identity in hosts])
        meeting.wait()
        return both

    hosts, found = [], {}
    monkeypatch.setattr(parallel, "_BLOCK", block)
    monkeypatch.setattr(parallel.jax, "process_count", lambda: 2)
    monkeypatch.setattr(parallel.multihost_utils, "process_allgather", process_allgather)

    def host(number):
        hosts.append(threading.get_ident())
        meeting.wait()
        found[hosts.index(threading.get_ident())] = all_hosts(values[number])

    threads = [threading.Thread(target=host, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] and sorted(map(str, found[0])) == sorted(map(str, values))


def test_prefetch_is_ahead_by_its_size_and_no_further():
    taken = []
    stream = prefetch(batches(9, taken), 2)
    assert taken == []
    next(stream)
    assert taken == [0, 1, 2]
    next(stream)
    assert taken == [0, 1, 2, 3]


def test_prefetched_arrays_lie_on_all_devices():
    arrays, _ = next(prefetch(batches(1, []), 1))
    shards = {shard.device: np.asarray(shard.data) for shard in arrays["x"].addressable_shards}
    assert set(shards) == set(jax.local_devices()) and len(shards) == 4
    for number, device in enumerate(jax.local_devices()):
        np.testing.assert_array_equal(shards[device][0].ravel(), 6 * number + np.arange(6))


def test_replicated_state_is_whole_on_every_device():
    state = replicate({"a": np.arange(6.0), "step": np.int32(3)})
    assert state["a"].is_fully_replicated and len(state["a"].addressable_shards) == 4
    for shard in state["a"].addressable_shards:
        np.testing.assert_array_equal(shard.data, np.arange(6.0))
    assert_same_on_all_devices(state)


def test_devices_that_differ_are_found():
    state = replicate({"good": np.zeros(3), "bad": np.zeros(3)})
    values = [np.zeros(3) for _ in jax.local_devices()]
    values[2] = np.array([0.0, 0.0, 1e-7])
    state["bad"] = jax.make_array_from_single_device_arrays(
        (3,),
        state["bad"].sharding,
        [jax.device_put(x, d) for x, d in zip(values, jax.local_devices(), strict=True)],
    )
    with pytest.raises(AssertionError, match=r"\['bad'\]"):
        assert_same_on_all_devices(state)


def test_one_process_has_nothing_to_make_global():
    state = replicate({"a": np.arange(6.0)})
    assert to_global(state) is state and to_local(state) is state
