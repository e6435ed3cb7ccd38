"""Real checkpoints of the original: read, compared, written back."""

import functools
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

from vatt_gh.errors import UserError
from vatt_gh.interop import names as naming
from vatt_gh.interop.tf_checkpoint import (
    AdamSlots,
    load_adam_slots,
    load_tf_checkpoint,
    save_tf_checkpoint,
)
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


@functools.cache
def file_of(kind):
    """The checkpoint's arrays by TensorFlow's full names, and (variable, slot) of its slots."""
    return read_file(folder(kind))


def read_file(path):
    import tensorflow as tf
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    reader = tf.train.load_checkpoint(str(path))
    arrays = {key: reader.get_tensor(key) for key in reader.get_variable_to_dtype_map()}
    graph = TrackableObjectGraph.FromString(arrays.pop("_CHECKPOINTABLE_OBJECT_GRAPH"))
    slots = set()
    for node in graph.nodes:
        for slot in node.slot_variables:
            of = graph.nodes[slot.original_variable_node_id].attributes[0].checkpoint_key
            own = graph.nodes[slot.slot_variable_node_id].attributes[0].checkpoint_key
            slots.add((of, slot.slot_name, own))
    return arrays, slots


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
def test_what_is_written_back_is_the_same_file(kind, tmp_path):
    loaded = load(kind)
    slots = load_adam_slots(folder(kind), loaded.params)
    assert int(slots.count) == file_of(kind)[0]["optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE"]
    expected, expected_entries = file_of(kind)
    moments = (name.partition("/.OPTIMIZER_SLOT") for name in expected)
    trained = any(slot and naming.is_word_table(name) for name, slot, _ in moments)
    prefix = save_tf_checkpoint(
        tmp_path,
        loaded.params,
        loaded.batch_stats,
        step=500_000,
        adam=slots,
        train_embeddings=trained,
    )
    assert prefix.endswith("ckpt-500000")
    arrays, slot_entries = read_file(prefix)
    assert arrays.keys() == expected.keys() and slot_entries == expected_entries
    for name, value in expected.items():
        if name.startswith("model/"):
            np.testing.assert_array_equal(arrays[name], value, err_msg=name)
    assert_identical(load(kind, tmp_path), loaded)  # a directory means its latest checkpoint


def test_adam_moments_come_back_and_word_vectors_have_none(tmp_path):
    shapes = setup("tx_fac")[2]
    rng = np.random.default_rng(0)
    loaded = load("tx_fac")
    draw = functools.partial(
        jax.tree.map, lambda x: jnp.asarray(rng.uniform(1, 2, x.shape), jnp.float32)
    )
    slots = AdamSlots(jnp.int32(7), draw(loaded.params), draw(loaded.params))
    save_tf_checkpoint(tmp_path, loaded.params, loaded.batch_stats, step=7, adam=slots)
    back = load_adam_slots(tmp_path, shapes["params"])
    assert int(back.count) == 7
    expected = slots._asdict()
    for moments in ("first", "second"):
        words = expected[moments]["towers"]["text"]["embed"]
        words["embedding"] = jnp.zeros_like(words["embedding"])
        assert_identical(getattr(back, moments), expected[moments])


def test_the_object_graph_restores_a_variable_by_its_attributes(tmp_path):
    """As in the original's own restore, not only by the name of its array."""
    import tensorflow as tf

    loaded = load("ut_fac")
    prefix = save_tf_checkpoint(tmp_path, loaded.params, loaded.batch_stats, step=1)
    scale = loaded.params["towers"]["encoder"]["norm_final"]["scale"]
    node = model = tf.Module()
    name = f"{naming.ROOT}/_base_layer/unified_backbone/unified_transformer/tx/final_layer_norm"
    for part in name.split("/")[1:]:
        setattr(node, part, tf.Module())
        node = getattr(node, part)
    node.gamma = tf.Variable(tf.zeros(scale.shape))
    status = tf.train.Checkpoint(model=model).restore(prefix)
    status.assert_existing_objects_matched().expect_partial()
    np.testing.assert_array_equal(node.gamma.numpy(), scale)


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
def test_a_fine_tuned_classifier_is_written_and_read(modality, tmp_path):
    *_, params = classifier(f"{modality}_cls")
    prefix = save_tf_checkpoint(tmp_path, params, {}, step=3)
    arrays, _ = read_file(prefix)
    wanted = {
        key.replace("model/", f"{naming.ROOT}/", 1) for key in golden(f"{modality}_cls").part("w")
    }
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    assert {k.removesuffix(suffix) for k in arrays if k.startswith("model/")} == wanted
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params)
    loaded = load_tf_checkpoint(prefix, shapes, {})
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
