"""The measurements of harmonization: correct numbers, in the documented form."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from vatt_gh.bench import cases
from vatt_gh.bench.__main__ import main
from vatt_gh.bench.harmonize import relative_difference
from vatt_gh.bench.sketch import compared


def test_rows_have_ratios_and_the_engines_agree(tmp_path, capsys):
    file = tmp_path / "found.json"
    engines = ["--engines", "ghost", "vmap"]
    options = ["--size=tiny", "--cases", "video_tower", "--rounds=2", "--batch=2"]
    main(["harmonize", *options, *engines, f"--json={file}"])
    found = json.loads(file.read_text())
    rows = {row["engine"]: row for row in found["rows"]}
    assert list(rows) == ["plain", "ghost", "vmap"]
    for row in rows.values():
        assert row["case"] == "video_tower" and row["batch"] == 2
        for name in ("time_ratio", "flops_ratio", "temp_bytes_ratio", "samples_per_second"):
            assert np.isfinite(row[name]) and row[name] > 0
    assert all(rows["plain"][f"{name}_ratio"] == 1 for name in ("time", "flops", "temp_bytes"))
    assert 1 < rows["ghost"]["flops_ratio"] < rows["vmap"]["flops_ratio"]
    assert rows["ghost"]["relative_difference"] < 1e-5 and rows["vmap"]["relative_difference"] == 0
    assert rows["plain"]["relative_difference"] is None
    assert found["machine"]["matrix_peak_flops_per_second"] > 1e8
    assert "video_tower    ghost" in capsys.readouterr().out


@pytest.mark.parametrize("case", cases.CASES)
@pytest.mark.parametrize("size", cases.SIZES)
def test_every_size_is_a_configuration(case, size):
    made = cases.SIZES[size]()
    config = cases.configure(made, case, "ghost_sketch64")
    assert config.model.kind == ("shared" if case == "shared_encoder" else "three_tower")
    assert config.harmonize.sketch == 64 and config.train.batch_size == made.batch
    video, data = config.model.video, config.data
    kept = config.model.keep_tokens * data.frames * data.size**2 / np.prod(video.patch)
    if size in ("third", "tx_fac_bbs"):  # VATT's ratio, 784 tokens to width 768
        assert kept / video.d_model == pytest.approx(784 / 768, rel=0.03)


def test_memory_of_vmap_alone_grows_with_batch_and_parameters(tmp_path, capsys):
    file = tmp_path / "found.json"
    main(["memory", "--batches", "2", "6", "--widths", "192", "--layers=1", f"--json={file}"])
    found = json.loads(file.read_text())
    rows = {(row["batch"], row["engine"]): row for row in found["rows"]}
    assert len(rows) == 6
    for (batch, _), row in rows.items():
        plain = rows[batch, "plain"]["temp_bytes"]
        assert row["temp_bytes_ratio"] == row["temp_bytes"] / plain
    # A block has 12 x width^2 parameters, the patches 3072 x width.
    assert rows[2, "plain"]["parameter_bytes"] == pytest.approx(
        4 * (12 * 192**2 + 3072 * 192), rel=0.02
    )
    growth = {row["engine"]: row["gradients_a_sample"] for row in found["growth"]}
    assert growth["plain"] == 0 and growth["ghost"] < 0.7
    assert growth["vmap"] > 2, "it holds a gradient for each of two losses"
    assert "vmap" in capsys.readouterr().out


def test_relative_difference_is_of_global_norms():
    expected = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}
    actual = {"a": jnp.array([3.0, 0.3]), "b": jnp.array([4.4])}
    assert relative_difference(actual, expected) == pytest.approx(0.1)


def test_flips_of_a_sketch_are_counted():
    exact, near = np.array([-0.4, -0.1, 0.1, 0.5]), np.array([-0.2, 0.1, 0.2, 0.5])
    found = compared(exact, near, 8, [-0.3, 0.15])
    assert found["largest_error"] == pytest.approx(0.2)
    assert found["rms_error"] == pytest.approx(0.15)
    assert found["sign_flips"] == 0.25
    assert found["decision_flips"] == {"-0.3": 0.25, "0.15": 0.25}
