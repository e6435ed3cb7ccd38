"""Reads the original's checkpoint files, which are TensorFlow 2 object graphs.

TensorFlow is imported only when a file is opened.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vatt_gh.errors import UserError
from vatt_gh.interop.names import (
    ROOT,
    Names,
    NestedDict,
    backbone_names,
    classifier_names,
    model_names,
)
from vatt_gh.interop.transfer import Report, Resampling, fill

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_SLOT = "/.OPTIMIZER_SLOT/"


class FromOriginal(NamedTuple):
    """Contents of a checkpoint: params and batch_stats as requested, and the report."""

    params: NestedDict
    batch_stats: NestedDict
    report: Report


def load_tf_checkpoint(
    path: str | Path,
    params: NestedDict,
    batch_stats: NestedDict,
    *,
    modality: str = "video",
    stretch: Resampling = "spline",
    partial: bool = False,
) -> FromOriginal:
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
    source = _read(prefix)
    variables = {"params": params, "batch_stats": batch_stats}
    names = _names(variables, source, modality)
    if not partial:
        _check_parts(names, source, prefix)
    filled, report = fill(variables, names, source, stretch=stretch)
    filled = jax.tree.map(jnp.asarray, filled)
    return FromOriginal(filled["params"], filled.get("batch_stats", {}), report)


def _names(variables: NestedDict, source: Mapping[str, np.ndarray], modality: str) -> Names:
    """Names the variables in this checkpoint: a whole model's, or a classifier's backbone's."""
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
    """Finds the checkpoint that a directory's text file names; it may have been moved since."""
    import tensorflow as tf

    state = tf.train.get_checkpoint_state(str(folder)) if folder.is_dir() else None
    return state and str(folder / Path(state.model_checkpoint_path).name)


def _read(prefix: str) -> dict[str, np.ndarray]:
    """Reads the model's variables, by their names without TensorFlow's suffix."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(prefix)
        names = [key.removesuffix(_VALUE) for key in reader.get_variable_to_dtype_map()]
        variables = [name for name in names if name.startswith("model/") and _SLOT not in name]
        return {name: reader.get_tensor(name + _VALUE) for name in variables}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError, KeyError) as error:
        raise UserError(
            f"The TensorFlow checkpoint cannot be read: {str(error).strip().splitlines()[0]}",
            where=prefix,
            expected="its .index and .data files as they were written",
            todo="copy both again",
        ) from error
