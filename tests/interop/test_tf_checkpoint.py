"""Real checkpoints of the original, read and compared."""

import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.golden_set import (
    close,
    evaluate,
    golden,
    init_shapes,
    path_of,
)
from golden.golden_set import setup as golden_setup
from golden.test_golden_classifiers import classifier
from golden.test_golden_heads import OUTPUTS
from interop.by_name import extract, write_checkpoint

from vatt_gh.errors import UserError
from vatt_gh.interop.names import ROOT, classifier_names, model_names
from vatt_gh.interop.tf_checkpoint import load_tf_checkpoint
from vatt_gh.models.classifier import Classifier
from vatt_gh.models.towers import GridTower

KINDS = ("tx_fac", "ut_fac")
TOLERANCE = 5e-5


def folder(kind):
    return path_of(f"tf_checkpoint_{kind}")


def setup(kind):
    """Model, batch, shapes of the variables and golden weights of a whole model's file."""
    model, batch, shapes, _, variables = golden_setup(f"model_{kind}")
    return model, batch, shapes, variables


def load(kind, path=None, **changes):
    shapes = setup(kind)[2] | changes
    return load_tf_checkpoint(path or folder(kind), shapes["params"], shapes["batch_stats"])


def assert_identical(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_checkpoint_gives_the_golden_embeddings(kind):
    loaded = load(kind)
    assert not loaded.report.unused and not loaded.report.missing and not loaded.report.stretched
    variables = {"params": loaded.params, "batch_stats": loaded.batch_stats}
    assert_identical(variables, setup(kind)[3])
    _, embeddings = evaluate(f"model_{kind}")(variables)
    for ours, theirs in OUTPUTS.items():
        expected = golden(f"model_{kind}")[f"out|eval|bridge|{theirs}"]
        close(embeddings[ours], expected, TOLERANCE, ours)


@pytest.mark.parametrize("kind", KINDS)
def test_the_newest_of_a_directory_is_read(kind, tmp_path):
    variables = dict(setup(kind)[3])
    arrays = extract(variables, model_names(variables))
    for step, scale in ((1, 0.5), (500_000, 1.0)):
        write_checkpoint(tmp_path, {name: scale * x for name, x in arrays.items()}, step)
    loaded = load(kind, tmp_path)
    assert_identical({"params": loaded.params, "batch_stats": loaded.batch_stats}, variables)
    half = load(kind, tmp_path / "ckpt-1")
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(2 * x, y), half.params, loaded.params)


def test_a_shape_that_does_not_fit_is_named_with_both_shapes():
    shapes = setup("tx_fac")[2]
    params = jax.tree.map(lambda x: x, shapes["params"])
    kernel = params["heads"]["text_to_video"]["kernel"]
    rows, columns = kernel.shape
    other = jax.ShapeDtypeStruct((rows, columns + 1), jnp.float32)
    params["heads"]["text_to_video"]["kernel"] = other
    with pytest.raises(UserError) as error:
        load("tx_fac", params=params)
    for part in ("txt_to_vat/kernel", str((rows, columns)), str((rows, columns + 1))):
        assert part in str(error.value)


def test_a_checkpoint_of_another_depth_or_kind_is_refused(tmp_path):
    loaded = load("tx_fac")
    shallow = jax.tree.map(lambda x: x, loaded.params)
    depth = sum(name.startswith("layer_") for name in shallow["towers"]["video"]["encoder"])
    last = shallow["towers"]["video"]["encoder"].pop(f"layer_{depth - 1}")
    with pytest.raises(UserError, match="has besides"):
        load_tf_checkpoint(folder("tx_fac"), shallow, loaded.batch_stats)
    deep = jax.tree.map(lambda x: x, loaded.params)
    deep["towers"]["video"]["encoder"][f"layer_{depth}"] = jax.tree.map(lambda x: x + 1, last)
    with pytest.raises(UserError, match="lacks"):
        load_tf_checkpoint(folder("tx_fac"), deep, loaded.batch_stats)
    part = load_tf_checkpoint(folder("tx_fac"), deep, loaded.batch_stats, partial=True)
    assert len(part.report.missing) == len(jax.tree.leaves(last))
    assert all(f"/tx/layers/{depth}/" in name for name in part.report.missing)
    assert_identical(part.params, deep)
    shared = setup("ut_fac")[2]
    with pytest.raises(UserError, match="lacks"):
        load_tf_checkpoint(folder("tx_fac"), shared["params"], shared["batch_stats"])
    with pytest.raises(UserError, match="no TensorFlow checkpoint"):
        load("tx_fac", tmp_path)


def classifier_of(kind, modality, classes=5):
    """A classifier on a pre-training model's tower for a modality, and its shapes."""
    model, batch, _, _ = setup(kind)
    towers = model.towers
    if kind == "tx_fac":
        tower = getattr(towers, modality)
    else:
        tower = GridTower(getattr(towers, modality), towers.encoder, towers.d_post_proj)
    module = Classifier(tower, classes, 0.0, multi_label=modality == "audio")
    shapes = init_shapes(module, batch[modality][0], None, False)["params"]
    return module, jax.tree.map(lambda x: jnp.full(x.shape, 0.5, x.dtype), shapes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("modality", ["video", "audio"])
def test_a_classifier_starts_from_a_pre_training_checkpoint(kind, modality):
    module, params = classifier_of(kind, modality)
    loaded = load_tf_checkpoint(folder(kind), params, {}, modality=modality)
    assert_identical(loaded.params["classifier"], params["classifier"])
    assert not loaded.report.missing and loaded.report.unused and loaded.batch_stats == {}
    batch = setup(kind)[1][modality]
    batch = batch if modality == "video" else batch[..., None]
    variables = {"params": loaded.params["backbone"]}
    run = jax.jit(jax.vmap(lambda x: module.backbone.apply(variables, x, None, False)[0]))
    expected = golden(f"model_{kind}")[f"out|eval|{modality}|features_pooled"]
    close(run(batch), expected, TOLERANCE)


def test_a_tower_without_projections_does_not_start_from_a_shared_encoder():
    _, params = classifier_of("tx_fac", "video")
    with pytest.raises(UserError, match=r"model\.kind"):
        load_tf_checkpoint(folder("ut_fac"), params, {})


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_a_fine_tuned_classifier_is_read(modality, tmp_path):
    *_, params = classifier(f"{modality}_cls")
    arrays = extract({"params": params}, classifier_names({"params": params}))
    wanted = golden(f"{modality}_cls").part("w")
    assert arrays.keys() == {key.replace("model/", f"{ROOT}/", 1) for key in wanted}
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params)
    loaded = load_tf_checkpoint(write_checkpoint(tmp_path, arrays, 3), shapes, {})
    assert_identical(loaded.params, params)
    assert not loaded.report.unused


def test_names_are_known_without_tensorflow():
    code = (
        "import sys; import vatt_gh.interop.names, vatt_gh.interop.transfer, "
        "vatt_gh.interop.tf_checkpoint; sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def copied(kind, to):
    """A copy of a golden checkpoint's folder; its file of names still tells the first place."""
    shutil.copytree(folder(kind), to)
    return to


def test_a_checkpoint_that_was_moved_is_found(tmp_path):
    moved = copied("tx_fac", tmp_path / "moved")
    [index] = moved.glob("*.index")
    (moved / "checkpoint").write_text(
        f'model_checkpoint_path: "/on/another/machine/{index.stem}"\n'
    )
    assert_identical(load("tx_fac", moved).params, load("tx_fac").params)


def test_damage_of_a_checkpoint_is_noticed_or_without_effect(tmp_path):
    whole = load("tx_fac").params
    moved = copied("tx_fac", tmp_path / "moved")
    [index] = moved.glob("*.index")
    rng = np.random.default_rng(0)
    refused = 0
    for path in (index, next(moved.glob("*.data-*"))):
        data = path.read_bytes()
        changes = [data[: len(data) // 2], b"", bytes(len(data)), None]
        for _ in range(20):
            flipped = bytearray(data)
            flipped[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
            changes.append(bytes(flipped))
        for changed in changes:
            path.unlink()
            if changed is not None:
                path.write_bytes(changed)
            try:
                assert_identical(load("tx_fac", moved / index.stem).params, whole)
            except UserError as error:
                assert str(moved) in error.where or "lacks" in error.what
                refused += 1
            path.write_bytes(data)
    assert refused > 20
