"""Checks of the command line, before any file is read."""

import dataclasses
from collections.abc import Collection

from tfds_builders.parts import Settings
from vatt_gh.config.schema import NOT_NEGATIVE, Key
from vatt_gh.config.training import DATA
from vatt_gh.errors import UserError
from vatt_gh.media.form import Form


def check_name(name: str, known: Collection[str]) -> None:
    """Refuses names without a builder."""
    if name not in known:
        raise UserError(
            f"There is no builder {name!r}.",
            where="the builder's name",
            expected=f"one of {', '.join(known)}",
            todo="give one of these names",
        )


def key_of(name: str) -> Key | None:
    """Finds the configuration key of a setting: for `--fps` data.build_fps; None: it has none."""
    key = DATA.get(f"build_{name}")
    return key if isinstance(key, Key) else None


def check_settings(form: Form, settings: Settings) -> None:
    """Refuses meaningless numbers."""
    rules = {
        "jpeg_quality": Key(Form.jpeg_quality, "", within="[1, 95]"),
        "parts": Key(Settings.parts, "", within=NOT_NEGATIVE),
    }
    given = dataclasses.asdict(form) | dataclasses.asdict(settings.limits)
    for name, value in {**given, "workers": settings.workers, "parts": settings.parts}.items():
        rule = key_of(name) or rules.get(name) or Key(value, "", within="(0, inf)")
        if not rule.takes(value):
            where = f"--{name}" + (f" (config.data.build_{name})" if key_of(name) else "")
            raise UserError(
                f"{name} = {value} does not fit.",
                where=where,
                expected=rule.expected(),
                todo=f"give another --{name}",
            )
