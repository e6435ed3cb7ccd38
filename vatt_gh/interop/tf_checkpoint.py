"""Reads and writes the original's checkpoint files, which are TensorFlow 2 object graphs.

TensorFlow is imported only when a file is opened.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vatt_gh.errors import UserError
from vatt_gh.interop.names import (
    ROOT,
    Names,
    backbone_names,
    classifier_names,
    is_word_table,
    model_names,
)
from vatt_gh.interop.transfer import Report, Stretch, extract, fill

Tree = Any
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_SLOT = "/.OPTIMIZER_SLOT/optimizer/"


class Loaded(NamedTuple):
    """Contents of a checkpoint: params and batch_stats as requested, and the report."""

    params: Tree
    batch_stats: Tree
    report: Report


class AdamSlots(NamedTuple):
    """State of Adam, as in `vatt_gh.training.optimizer.keras_adam`.

    Attributes:
        count: [] int32, updates so far.
        first: first moments, a tree like the parameters.
        second: second moments, a tree like the parameters.
    """

    count: jax.Array
    first: Tree
    second: Tree


def load_tf_checkpoint(
    path: str | Path,
    params: Tree,
    batch_stats: Tree,
    *,
    modality: str = "video",
    stretch: Stretch = "spline",
    partial: bool = False,
) -> Loaded:
    """Reads a pre-training or fine-tuning checkpoint of the original.

    A classifier ({'backbone', 'classifier'}) takes either a complete fine-tuned classifier or its
    backbone from a pre-training checkpoint, with three towers or a shared encoder; its own head
    then stays unchanged.

    Args:
        path: prefix of the checkpoint ("…/ckpt-500000") or a directory, whose latest is read.
        params: template: {'towers', 'heads'} or {'backbone', 'classifier'}; arrays, or shapes
            if the checkpoint is complete.
        batch_stats: template of the batch statistics; {} for a classifier.
        modality: 'video' or 'audio': the tower that a classifier starts from.
        stretch: see `transfer.fill`.
        partial: whether the checkpoint may lack parameters, which then stay unchanged, or have
            more layers than the model.

    Returns:
        Trees like the templates, and the report.

    Raises:
        UserError: there is no such checkpoint, a shape does not fit, or checkpoint and model
            differ in layers or parts.
    """
    prefix = _prefix(path)
    source = _read(prefix, lambda key: key.startswith("model/") and _SLOT not in key)
    variables = {"params": params, "batch_stats": batch_stats}
    names = _names(variables, source, modality)
    if not partial:
        _check_parts(names, source, prefix)
    filled, report = fill(variables, names, source, stretch=stretch)
    filled = jax.tree.map(jnp.asarray, filled)
    return Loaded(filled["params"], filled.get("batch_stats", {}), report)


def load_adam_slots(path: str | Path, params: Tree) -> AdamSlots:
    """Reads Adam's state from a pre-training checkpoint of the original.

    Args:
        path: as for `load_tf_checkpoint`.
        params: template of the parameters {'towers', 'heads'}, arrays or shapes.

    Returns:
        The state; zeros if the checkpoint has none (untrained word vectors).

    Raises:
        UserError: there is no such checkpoint, or a shape does not fit.
    """
    prefix = _prefix(path)
    zeros = {"params": jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), params)}
    names = _names(zeros, {}, "")
    moments = []
    for slot in "mv":
        end = f"{_SLOT}{slot}"
        source = _read(prefix, lambda key, end=end: key.endswith(end))
        source = {key.removesuffix(end): value for key, value in source.items()}
        tree, _ = fill(zeros, names, source)
        moments.append(jax.tree.map(jnp.asarray, tree["params"]))
    count = _read(prefix, lambda key: key == "optimizer/iter")["optimizer/iter"]
    return AdamSlots(jnp.asarray(count, jnp.int32), *moments)


def save_tf_checkpoint(
    directory: str | Path,
    params: Tree,
    batch_stats: Tree,
    *,
    step: int,
    adam: AdamSlots | None = None,
    train_embeddings: bool = False,
) -> str:
    """Writes a checkpoint that the original's `Checkpoint(model=..., optimizer=...)` reads.

    Args:
        directory: created if missing; other checkpoints in it stay.
        params: {'towers', 'heads'} or {'backbone', 'classifier'}.
        batch_stats: of the heads; {} for a classifier.
        step: number of the checkpoint.
        adam: Adam's state for params, or None.
        train_embeddings: whether word vectors are trained, so that they have Adam state.

    Returns:
        The prefix of the checkpoint.
    """
    import tensorflow as tf

    variables = {"params": params, "batch_stats": batch_stats}
    names = classifier_names(variables) if "backbone" in params else model_names(variables)
    root = tf.train.Checkpoint()
    made = {name: _place(root, name, x) for name, x in extract(variables, names).items()}
    if adam is not None:
        own = {path: name for path, name in names.items() if path[0] == "params"}
        if not train_embeddings:
            own = {path: name for path, name in own.items() if not is_word_table(name)}
        slots = {
            slot: extract({"params": tree}, own)
            for slot, tree in (("m", adam.first), ("v", adam.second))
        }
        root.optimizer = _optimizer(slots, made, int(adam.count))
    manager = tf.train.CheckpointManager(root, str(directory), max_to_keep=None)
    return manager.save(checkpoint_number=step)


def _names(variables: Tree, source: Mapping[str, np.ndarray], modality: str) -> Names:
    """Names in this checkpoint: of the whole model, or of a classifier's backbone."""
    if "backbone" not in variables["params"]:
        return model_names(variables)
    if any(key.startswith(f"{ROOT}/_base_layer/") for key in source):
        shared = any(key.startswith(f"{ROOT}/_base_layer/unified_backbone/") for key in source)
        if shared and "post_proj" not in variables["params"]["backbone"]:
            raise UserError(
                "The checkpoint has a shared encoder, the classifier a tower without projections.",
                where="config.model.kind",
                expected="model.kind = 'shared', as in the checkpoint",
                todo="set --config.model.kind=shared",
            )
        return backbone_names(variables, modality, shared)
    return classifier_names(variables)


def _check_parts(names: Names, source: Mapping[str, np.ndarray], prefix: str) -> None:
    """Refuses a model that would be filled partly, or with some layers of a deeper one."""
    wanted = set(names.values())
    mark = "/layers/"
    stacks = {name.split(mark)[0] + mark for name in wanted if mark in name}
    deeper = {name for name in source.keys() - wanted if name.startswith(tuple(stacks))}
    for what, labels in (
        ("lacks", sorted(wanted - source.keys())),
        ("has besides the model's", sorted(deeper)),
    ):
        if labels:
            raise UserError(
                f"The checkpoint {what} {len(labels)} variables, among them {labels[0]}.",
                where=prefix,
                expected=f"the {len(names)} variables of the model and no other layers",
                todo="set the model's kind, depth and heads to those of the checkpoint",
            )


def _prefix(path: str | Path) -> str:
    import tensorflow as tf

    prefix = _newest(Path(path)) or str(path)
    if not tf.io.gfile.exists(f"{prefix}.index"):
        raise UserError(
            "There is no TensorFlow checkpoint.",
            where=path,
            expected="a prefix such as DIR/ckpt-500000 of .index and .data files, or a directory "
            "with a file named 'checkpoint'",
            todo="check the path; give the name without .index",
        )
    return prefix


def _newest(folder: Path) -> str | None:
    """The checkpoint that a directory's text file names; it may have been moved since."""
    import tensorflow as tf

    state = tf.train.get_checkpoint_state(str(folder)) if folder.is_dir() else None
    return state and str(folder / Path(state.model_checkpoint_path).name)


def _read(prefix: str, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """Reads the wanted variables' arrays, by their names without TensorFlow's suffix."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(prefix)
        names = [key.removesuffix(_VALUE) for key in reader.get_variable_to_dtype_map()]
        return {name: reader.get_tensor(name + _VALUE) for name in names if wanted(name)}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError, KeyError) as error:
        raise UserError(
            f"The TensorFlow checkpoint cannot be read: {str(error).strip().splitlines()[0]}",
            where=prefix,
            expected="its .index and .data files as they were written",
            todo="copy both again",
        ) from error


def _place(root: Any, name: str, value: np.ndarray) -> Any:
    """Adds a variable to the object graph at its name and returns it."""
    import tensorflow as tf

    *path, leaf = name.split("/")
    node = root
    for part in path:
        if getattr(node, part, None) is None:
            setattr(node, part, tf.Module())
        node = getattr(node, part)
    variable = tf.Variable(value)
    setattr(node, leaf, variable)
    return variable


def _optimizer(slots: dict[str, dict[str, np.ndarray]], variables: dict[str, Any], count: int):
    """An object that TensorFlow saves as a Keras Adam with these slots."""
    import tensorflow as tf

    scalars = (("beta_1", 0.9), ("beta_2", 0.999), ("decay", 0.0), ("learning_rate", 1e-4))

    class Adam(tf.Module):
        """Has what the saver needs of an optimizer, and the original's scalars."""

        def __init__(self):
            super().__init__()
            self.iter = tf.Variable(count, dtype=tf.int64)
            for name, value in scalars:
                setattr(self, name, tf.Variable(value, dtype=tf.float32))

        def get_slot_names(self):
            return sorted(slots)

        def get_slot(self, variable, slot):
            return made.get((id(variable), slot))

        def _create_or_restore_slot_variable(self, *args, **options):
            raise NotImplementedError("this object is written, never restored into")

    made = {
        (id(variables[name]), slot): tf.Variable(value)
        for slot, values in slots.items()
        for name, value in values.items()
    }
    return Adam()
