"""Damaged checkpoints: flipped bits, files that are cut, zeroed or gone; all is noticed."""

import errno
import gc
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_config
from tiny_run import assert_same_state
from training.test_checkpoints import state_of

from vatt_gh.errors import UserError
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.digests import Damaged, PendingMetadata, check_arrays, checked, digests_of
from vatt_gh.training.initial import read_run

# What Orbax has begun when a read fails is left to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
TRAIN = small_config().train
FLIPS = 200


@pytest.fixture(autouse=True)
def collected(monkeypatch):
    """Collects it within the test, where the warning is ignored; second attempts come at once."""
    monkeypatch.setattr("vatt_gh.training.reading._PAUSE", 0.0)
    yield
    gc.collect()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A work directory with the checkpoints of steps 3 and 4."""
    folder = tmp_path_factory.mktemp("saved")
    with Checkpoints(folder, TRAIN) as checkpoints:
        for step in (3, 4):
            checkpoints.save(state_of(step), position=8 * step)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of it, and the files of its newest checkpoint."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    newest = tmp_path / "checkpoints" / "4"
    return tmp_path, sorted(p for p in newest.rglob("*") if p.is_file())


def restored(workdir, **options):
    with Checkpoints(workdir, TRAIN) as checkpoints:
        return checkpoints.restore(state_of(0), **options)


def outcome(workdir):
    """The step whose state and position a restore gives, exactly."""
    state, position = restored(workdir)
    step = int(state.step)
    assert position == 8 * step
    assert_same_state(state, state_of(step))
    return step


def test_flipped_bits_are_noticed_or_without_effect(copy):
    """Bits of all files, as many from each as from the largest."""
    workdir, files = copy
    rng = np.random.default_rng(0)
    seen = []
    for number in range(FLIPS):
        path = files[number % len(files)]
        whole = path.read_bytes()
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        seen.append(outcome(workdir))
        path.write_bytes(whole)
    assert set(seen) == {3, 4} and seen.count(3) > FLIPS / 3
    assert outcome(workdir) == 4


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def emptied(path):
    path.write_bytes(b"")


def gone(path):
    path.unlink()


@pytest.mark.parametrize("damage", [cut, zeroed, emptied, gone])
def test_a_checkpoint_without_one_of_its_files_is_left_out(copy, damage, capsys):
    workdir, files = copy
    found = []
    for path in files:
        whole = path.read_bytes()
        damage(path)
        found.append(outcome(workdir))
        # Either the file is not needed, or the message tells.
        assert ("step 4 is damaged" in capsys.readouterr().err) == (found[-1] == 3)
        path.write_bytes(whole)
    assert found.count(3) >= 3


def test_a_folder_that_is_gone_is_left_out(copy):
    workdir, _ = copy
    for name in ("meta", "state"):
        shutil.move(workdir / "checkpoints" / "4" / name, workdir / name)
        assert outcome(workdir) == 3
        shutil.move(workdir / name, workdir / "checkpoints" / "4" / name)
    assert outcome(workdir) == 4


def arrays_of(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_where_none_is_whole_the_run_ends_with_a_message(copy):
    workdir, _ = copy
    for step in ("3", "4"):
        cut(arrays_of(workdir / "checkpoints" / step / "state"))
    with pytest.raises(UserError, match=r"step 4 cannot be read: .*; nor can the older one"):
        restored(workdir)
    with pytest.raises(UserError, match=r"step 4 cannot be read: .*; nor can the older one"):
        read_run(workdir)


def test_the_one_that_is_asked_for_has_no_substitute(copy):
    workdir, _ = copy
    cut(arrays_of(workdir / "checkpoints" / "4" / "state"))
    with pytest.raises(UserError, match="step 4 cannot be read"):
        restored(workdir, step=4)


def test_a_run_that_goes_on_sets_the_damaged_one_aside(copy, capsys):
    workdir, _ = copy
    cut(arrays_of(workdir / "checkpoints" / "4" / "state"))
    with Checkpoints(workdir, TRAIN) as checkpoints:
        state, _ = checkpoints.restore(state_of(0), set_aside=True)
        assert int(state.step) == 3 and checkpoints.latest() == 3
        checkpoints.save(state_of(4), position=32)  # the run comes there again
    assert outcome(workdir) == 4
    [aside] = (workdir / "damaged").iterdir()
    assert aside.name.startswith("4-") and str(aside.parent) in capsys.readouterr().err


def test_starting_from_a_run_leaves_damaged_ones_out(copy, capsys):
    workdir, files = copy
    expected = {step: state_of(step) for step in (3, 4)}
    for path in files:
        whole = path.read_bytes()
        data = bytearray(whole)
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        weights = read_run(workdir)["params/towers/w"]
        step = 3 if "damaged" in capsys.readouterr().err else 4
        np.testing.assert_array_equal(weights, expected[step].params["towers"]["w"])
        path.write_bytes(whole)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_digests_that_cannot_be_computed_fail_the_save(tmp_path, monkeypatch):
    def fail(arrays):
        raise RuntimeError("no memory for digests")

    with Checkpoints(tmp_path, TRAIN) as checkpoints:
        monkeypatch.setattr("vatt_gh.training.digests._all_sums", fail)
        checkpoints.save(state_of(1), position=8)
        with pytest.raises(RuntimeError, match="no memory for digests"):
            checkpoints.wait()
        monkeypatch.undo()
        checkpoints.settle()
        checkpoints.save(state_of(2), position=16)
        checkpoints.wait()
        assert checkpoints.steps() == [2]


def test_a_save_that_fails_leaves_no_thread_that_waits_for_digests(tmp_path, monkeypatch):
    asked = []

    def fail(step, args):
        asked.append(args["meta"])
        raise OSError("the disk is away")

    with Checkpoints(tmp_path, TRAIN) as checkpoints, monkeypatch.context() as patch:
        patch.setattr(checkpoints._manager, "save", fail)
        with pytest.raises(OSError, match="the disk is away"):
            checkpoints.save(state_of(1), position=8)
    assert asked[0].compute()["position"] == 8


def test_hosts_that_are_not_the_first_set_nothing_aside(copy, monkeypatch):
    workdir, _ = copy
    with Checkpoints(workdir, TRAIN) as checkpoints, monkeypatch.context() as host:
        host.setattr(jax, "process_index", lambda: 1)
        checkpoints._set_aside([4])
    assert not (workdir / "damaged").exists() and outcome(workdir) == 4


@pytest.fixture
def two_hosts(monkeypatch):
    """Calls a function with each of two arguments, on two threads that exchange as hosts do."""
    mine, every, meeting = threading.local(), [None, None], threading.Barrier(2, timeout=30)

    def all_hosts(value):
        every[mine.number] = value
        meeting.wait()
        told = list(every)
        meeting.wait()
        return told

    def act(call, number, argument):
        mine.number = number
        return call(argument)

    def both(call, *arguments):
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(act, [call] * 2, range(2), arguments))

    monkeypatch.setattr("vatt_gh.training.reading.all_hosts", all_hosts)
    monkeypatch.setattr("vatt_gh.training.parallel.all_hosts", all_hosts)
    return both


@pytest.mark.parametrize("broken", [0, 1])
@pytest.mark.parametrize("how", [lambda step: cut(arrays_of(step / "state")), shutil.rmtree])
def test_hosts_that_see_different_files_start_from_the_same_checkpoint(
    copy, two_hosts, tmp_path_factory, broken, how
):
    workdir, _ = copy
    folders = [workdir, tmp_path_factory.mktemp("other") / "run"]
    shutil.copytree(workdir, folders[1])
    how(folders[broken] / "checkpoints" / "4")
    for weights in two_hosts(read_run, *folders):
        expected = state_of(3).params["towers"]["w"]
        np.testing.assert_array_equal(weights["params/towers/w"], expected)


def test_checkpoints_from_before_the_digests_are_read(copy, monkeypatch, tmp_path):
    monkeypatch.setattr(PendingMetadata, "finish", lambda self: dict(self._meta))
    with Checkpoints(tmp_path / "old", TRAIN) as checkpoints:
        checkpoints.save(state_of(3), position=24)
    assert outcome(tmp_path / "old") == 3
    np.testing.assert_array_equal(
        read_run(tmp_path / "old")["params/towers/w"], state_of(3).params["towers"]["w"]
    )


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32", "bfloat16", "bool"])
def test_every_single_change_of_an_array_changes_its_digest(dtype):
    rng = np.random.default_rng(0)
    array = np.asarray(jnp.asarray(rng.integers(0, 2, (5, 7)), dtype))
    own = digests_of({"x": array})["x"]
    assert digests_of({"x": array.copy()})["x"] == own and len(own) == 16
    raw = array.tobytes()
    for _ in range(100):
        data = bytearray(raw)
        place = int(rng.integers(len(data)))
        data[place] ^= 1 << (0 if dtype == "bool" else int(rng.integers(8)))
        other = np.frombuffer(bytes(data), array.dtype).reshape(array.shape)
        assert digests_of({"x": other})["x"] != own
    swapped = array[::-1]
    assert (digests_of({"x": swapped})["x"] == own) == np.array_equal(swapped, array)


def test_digests_are_the_same_on_any_number_of_devices():
    array = np.arange(1000, dtype=np.float32)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    split = jax.device_put(array, jax.sharding.NamedSharding(mesh, spec))
    assert digests_of({"x": split}) == digests_of({"x": array})


def test_metadata_is_what_was_written():
    arrays = {"a": np.arange(3, dtype=np.float32)}
    described = PendingMetadata({"position": 8, "records": [3]}, arrays)
    described.start()
    meta = described.finish()
    assert checked(json.loads(json.dumps(meta)))["position"] == 8
    for changed in ({"position": 9}, {"records": [4]}, {"arrays": {}}, {"digest": "0"}):
        with pytest.raises(Damaged):
            checked(meta | changed)
    for missing in ("position", "arrays", "digest"):
        with pytest.raises(Damaged):
            checked({k: v for k, v in meta.items() if k != missing})
    with pytest.raises(Damaged, match="such as a"):
        check_arrays(checked(meta), {"a": arrays["a"] + 1})


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.ESTALE, "stale"), RuntimeError("RESOURCE_EXHAUSTED: x")]
)
def test_what_says_nothing_about_the_files_sets_nothing_aside(copy, monkeypatch, error):
    workdir, _ = copy

    def fails(*args, **kwargs):
        raise error

    with Checkpoints(workdir, TRAIN) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "restore", fails)
        with pytest.raises(type(error)):
            checkpoints.restore(state_of(0), set_aside=True)
    assert not (workdir / "damaged").exists() and outcome(workdir) == 4


def test_what_can_be_read_a_moment_later_is_read(copy, monkeypatch):
    workdir, _ = copy
    meta = workdir / "checkpoints" / "4" / "meta"
    meta.rename(workdir / "away")
    monkeypatch.setattr(
        "vatt_gh.training.checkpoints.time.sleep", lambda _: (workdir / "away").rename(meta)
    )
    assert outcome(workdir) == 4
