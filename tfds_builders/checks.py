"""Checks of the command line, before any file is read."""

import dataclasses
import math
from collections.abc import Collection

from tfds_builders.parts import Settings
from vatt_gh.errors import UserError
from vatt_gh.media.form import STORAGES, Form


def check_name(name: str, known: Collection[str]) -> None:
    """Refuses names without a builder."""
    if name not in known:
        raise UserError(
            f"There is no builder {name!r}.",
            where="the builder's name",
            expected=f"one of {', '.join(known)}",
            todo="give one of these names",
        )


def check_settings(form: Form, settings: Settings) -> None:
    """Refuses meaningless numbers."""
    numbers = dataclasses.asdict(form) | dataclasses.asdict(settings.limits)
    numbers |= {"workers": settings.workers}
    storage = numbers.pop("storage")
    rules = {key: (0 < value < math.inf, "a positive number") for key, value in numbers.items()}
    rules["jpeg_quality"] = (0 < form.jpeg_quality <= 95, "1 to 95")
    rules["storage"] = (storage in STORAGES, f"one of {', '.join(STORAGES)}")
    rules["parts"] = (settings.parts >= 0, "the number of parts, or 0")
    if rules["short_side"][0] and form.short_side % 2:
        rules["short_side"] = (False, "an even number: colours are stored at half the resolution")
    for key, (good, expected) in rules.items():
        if not good:
            value = (dataclasses.asdict(form) | dataclasses.asdict(settings) | numbers)[key]
            raise UserError(
                f"{key} = {value} does not fit.",
                where=f"--{key} (config.data.build_{key})",
                expected=expected,
                todo=f"give another --{key}",
            )
