"""Opens data sets built with TFDS; checks foreign ones before TFDS runs any code of theirs."""

import json
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from google.protobuf import json_format

from vatt_gh.errors import UserError

# TFDS imports the module of every class in features.json, even from the current folder.
_TRUSTED = "tensorflow_datasets.core.features."


def open_built(version_dir: Path) -> tfds.core.DatasetInfo:
    """Reads the metadata of a finished data set.

    Args:
        version_dir: holds dataset_info.json and features.json.

    Returns:
        Its features, splits and metadata.

    Raises:
        UserError: one of the files is missing or damaged, or names a class outside TFDS.
    """
    for name in ("features.json", "dataset_info.json", "metadata.json"):
        path = Path(version_dir) / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise _damaged(path, str(error)) from error
        if not isinstance(content, dict):
            raise _damaged(path, "it is no dictionary")
        if name == "features.json":
            _check_classes(path, content)
    try:
        return tfds.builder_from_directory(str(version_dir)).info
    except (json_format.Error, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise _damaged(Path(version_dir), str(error)) from error


def _check_classes(path: Path, content: Any) -> None:
    if isinstance(content, dict):
        for key, value in content.items():
            # Protobuf accepts "python_class_name" too.
            is_class = key.replace("_", "") in ("pythonClassName", "pythonclassname", "type")
            if is_class and isinstance(value, str) and not value.startswith(_TRUSTED):
                raise UserError(
                    f"The records name a class that is not TFDS's own: {value!r}.",
                    where=path,
                    expected=f"only classes of {_TRUSTED[:-1]}: TFDS would run any other",
                    todo="build the records yourself",
                )
            _check_classes(path, value)
    elif isinstance(content, list):
        for value in content:
            _check_classes(path, value)


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(
        f"The description of the data set cannot be read: {problem}.",
        where=path,
        expected="the file as the build wrote it",
        todo="build the records again, into another data_dir",
    )
