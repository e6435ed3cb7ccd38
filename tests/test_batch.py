"""The check of a batch's arrays."""

import numpy as np
import pytest
from small import small_batch, small_config

from vatt_gh import batch as names


@pytest.fixture
def arrays():
    return small_batch(small_config())


def test_a_good_batch_passes_with_more_in_it(arrays):
    names.check({**arrays, names.VIDEO_ID: np.array([b"x"] * 8)})
    assert names.check({name: x[:3] for name, x in arrays.items()}) is None


@pytest.mark.parametrize("name", names.DEVICE_KEYS)
def test_whatever_is_wrong_is_named(arrays, name):
    good = arrays[name]
    for bad, word in (
        (good.astype(np.float16), "float16"),
        (good[None], f"of rank {good.ndim}"),
        (None, "lacks"),
    ):
        batch = {**arrays, name: bad} if bad is not None else dict(arrays)
        if bad is None:
            del batch[name]
        with pytest.raises(ValueError, match=f"{name}.*") as caught:
            names.check(batch)
        assert word in str(caught.value)
    if name != names.VIDEO:
        with pytest.raises(ValueError, match=rf"batch\['{name}'\] holds 7 samples"):
            names.check({**arrays, name: good[:7]})
