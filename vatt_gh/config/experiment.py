"""Experiment files, and the keys that the command line changes in them."""

import difflib
import re
import runpy
import traceback
from collections.abc import Iterable

from ml_collections import ConfigDict

from vatt_gh.config import RENAMED, SCHEMA, flatten
from vatt_gh.config.schema import keys_of
from vatt_gh.errors import UserError


def load_experiment(path: str) -> ConfigDict:
    """Runs an experiment file.

    Args:
        path: the file; may end in ":" and an argument for its get_config.

    Returns:
        The configuration.

    Raises:
        UserError: it cannot be run, sets a key that does not exist, or returns something else.
    """
    file, *arguments = path.split(":", 1)
    try:
        config = runpy.run_path(file)["get_config"](*arguments)
        if isinstance(config, ConfigDict):
            return config
        problem, where = f"get_config() returns {config!r}", file
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        in_file = [(t.lineno, t.line or "") for t in frames if t.filename == file]
        in_file += [(error.lineno, "")] if isinstance(error, SyntaxError) else []
        where = f"{file}, line {in_file[-1][0]}" if in_file else file
        if isinstance(error, AttributeError | KeyError) and "ml_collections" in frames[-1].filename:
            name = re.search(r'(?:Key ")?(\w+)', str(error))
            raise _of_experiment(name[1] if name else "", in_file[-1][1], where) from error
        problem = f"{type(error).__name__}: {str(error).strip()}"
    raise UserError(
        f"The experiment cannot be loaded. {problem}",
        where=where,
        expected="a Python file with get_config(), which returns a changed copy of "
        "vatt_gh.config.default()",
        todo="give a file of configs/, or mend this one",
    )


def check_overrides(arguments: Iterable[str], config: ConfigDict) -> None:
    """Checks the names of keys on the command line; the errors of flags do not name them.

    Args:
        arguments: the command line, such as ["--config.train.steps=10"].
        config: the experiment's configuration.

    Raises:
        UserError: there is no such key, or only a part of one is set.
    """
    flat = flatten(config)
    for argument in arguments:
        match = re.match(r"--?(?:no)?config\.([^=[]+)(\[)?", argument)
        if match is None:
            continue
        key, part = match.groups()
        gone = [old for old in RENAMED if f"{key}.".startswith(f"{old}.")]
        if gone and key not in flat:
            raise _gone(key, gone[0], argument)
        if key in flat and part:
            raise UserError(
                "A part of a key cannot be set.",
                where=argument,
                expected=f'the whole value, such as --config.{key}="{flat[key]}"',
                todo="give all of it",
            )
        if key not in flat and not any(name.startswith(f"{key}.") for name in flat):
            raise _unknown(key, difflib.get_close_matches(key, flat, n=3, cutoff=0.5), argument)


def _of_experiment(name: str, line: str, where: str) -> UserError:
    """Makes the error for a key that the schema lacks; ml_collections tells only its last part.

    Args:
        name: the last part.
        line: the line of the experiment that uses it.
        where: its place.
    """
    gone = [old for old in RENAMED if re.search(rf"\b{re.escape(old)}\b", line)]
    if gone:
        return _gone(gone[0], gone[0], where)
    keys = [key for key, _ in keys_of(SCHEMA)]
    last = difflib.get_close_matches(name, {part for key in keys for part in key.split(".")}, n=3)
    near = [key for key in keys if not {*key.split(".")}.isdisjoint(last)]
    # Those of the same section first.
    near.sort(key=lambda key: f"{key.rpartition('.')[0]}.{name}" not in line)
    return _unknown(name, near[:3], where)


def _gone(key: str, old: str, where: str) -> UserError:
    return UserError(
        f"The key {key!r} is gone.", where=where, expected=RENAMED[old], todo="give that instead"
    )


def _unknown(key: str, near: list[str], where: str) -> UserError:
    return UserError(
        f"There is no configuration key {key!r}.",
        where=where,
        expected="a key of docs/configuration.md"
        + (f", perhaps {' or '.join(near)}" if near else ""),
        todo="look the key up there, or with python -m vatt_gh.main --help=all",
    )
