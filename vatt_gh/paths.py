"""Local paths from users, with "~" as their home directory."""

import os
import re

from ml_collections import ConfigDict

from vatt_gh.config import SCHEMA
from vatt_gh.config.mixture import parse_entry
from vatt_gh.config.schema import keys_of, value_of
from vatt_gh.errors import UserError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def local_path(given: str, where: str) -> str:
    """Resolves a local path.

    Args:
        given: the user's path; "" is kept.
        where: its flag or key.

    Returns:
        The path, with the home directory in place of "~".

    Raises:
        UserError: it is the address of a bucket or similar, or the home of an unknown user.
    """
    path = os.path.expanduser(given)
    scheme = _SCHEME.match(given)
    if scheme or path.startswith("~"):
        what = f"of {scheme[0]}" if scheme else "of a user that does not exist"
        raise UserError(
            f"{given!r} is a path {what}, not of this machine.",
            where=where,
            expected="a path of this machine",
            todo="mount the bucket, for example with gcsfuse, and give the mounted path"
            if scheme
            else "give the whole path",
        )
    return path


def with_local_paths(config: ConfigDict) -> ConfigDict:
    """Copies a configuration with all paths resolved.

    Args:
        config: the whole configuration.

    Returns:
        The copy.

    Raises:
        UserError: see `local_path`.
    """
    config = config.copy_and_resolve_references()
    flat = {
        name: local_path(value_of(config, name), name) for name, key in keys_of(SCHEMA) if key.path
    }
    kind, colon, path = config.init_from.partition(":")
    if colon:
        flat["init_from"] = f"{kind}:{local_path(path, 'init_from')}"
    config.update_from_flattened_dict(flat)
    config.data.also = tuple(_with_local_folder(given) for given in config.data.also)
    return config


def _with_local_folder(given: str) -> str:
    folder = parse_entry(given).folder
    return given.removesuffix(folder) + local_path(folder, "data.also")
