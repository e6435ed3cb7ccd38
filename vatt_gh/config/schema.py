"""Configuration keys: default, meaning, and valid values."""

import dataclasses
import functools
import importlib
import math
import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any, Union

from ml_collections import ConfigDict

from vatt_gh.errors import UserError

POSITIVE = "(0, inf)"
NOT_NEGATIVE = "[0, inf)"
SHARE = "[0, 1]"
INT32 = "[0, 2147483647]"  # what a step's counters hold
_IN_WORDS = {POSITIVE: "a positive number", NOT_NEGATIVE: "0 or more", "[0, inf]": "0 or more"}


@dataclasses.dataclass(frozen=True)
class Key:
    """A configuration key.

    Attributes:
        default: default value, always valid, also an empty text; all other values have its type.
        meaning: its effect, in a sentence or a few words.
        choices: the valid values; or "MODULE:NAME" of a table of them, such as a dictionary.
        form: regular expression for its text, or all its texts; and what it means, in words.
        within: an interval for its number, or all its numbers, such as "(0, 1]".
        multiple: its number has to be a multiple of this.
        unit: unit of its number.
        at_least: a tuple may have this many values or more; None: as many as the default.
        path: its text is a path of this machine; "~" stands for the user's home.
        free: may differ between a run and its continuation, because it changes neither updates nor
            input.
    """

    default: Any
    meaning: str
    choices: tuple[str, ...] | str = ()
    form: tuple[str, str] = ("", "")
    within: str = ""
    multiple: int = 1
    unit: str = ""
    at_least: int | None = None
    path: bool = False
    free: bool = False

    def allowed(self) -> tuple[str, ...]:
        """Lists the valid values; empty if any value is valid.

        A table whose packages are not installed allows everything: nothing there can be used.
        """
        if isinstance(self.choices, tuple):
            return self.choices
        try:
            return tuple(self.table())
        except ModuleNotFoundError:
            return ()

    def table(self) -> Any:
        """Imports the table that `choices` names, such as harmonize.ENGINES.

        Raises:
            ModuleNotFoundError: a package that it needs is not installed.
        """
        module, _, name = self.choices.partition(":")
        return getattr(importlib.import_module(module), name)

    def expected(self) -> str:
        """Describes the required form of a value in words."""
        one = _IN_WORDS.get(self.within, f"a number in {self.within}") if self.within else ""
        one += f", a multiple of {self.multiple}" if self.multiple > 1 else ""
        one = self.form[1] or one
        if self.allowed():
            one = f"one of {', '.join(self.allowed())}"
        if not isinstance(self.default, tuple):
            return one or f"a value like {self.default!r}"
        each = f", each {one}" if one else ""
        if self.at_least is not None:
            return f"a tuple of one value or more{each}" if self.at_least else f"a tuple{each}"
        kind = "whole numbers" if isinstance(self.default[0], int) else "numbers"
        return f"{len(self.default)} {kind}{each}"

    def takes(self, value: Any) -> bool:
        """Tells whether a value is valid, as far as the value alone shows."""
        if not isinstance(self.default, tuple):
            return value == "" == self.default or self._takes_one(value)
        if not isinstance(value, tuple):
            return False
        fixed = self.at_least is None
        right = len(value) == len(self.default) if fixed else len(value) >= self.at_least
        return right and all(map(self._takes_one, value))

    def _takes_one(self, value: Any) -> bool:
        """Tells whether one value, or one of a tuple's, is valid."""
        if self.choices:
            return not self.allowed() or value in self.allowed()
        if self.form[0]:
            return isinstance(value, str) and re.fullmatch(self.form[0], value) is not None
        like = next(iter(self.default), None) if isinstance(self.default, tuple) else self.default
        kinds = (int, float) if isinstance(like, float) else type(like)
        right = isinstance(value, kinds) and isinstance(value, bool) == isinstance(like, bool)
        if not right or (self.within and not _inside(value, self.within)):
            return False
        return self.multiple == 1 or value % self.multiple == 0


Section = Mapping[str, Union[Key, "Section"]]


def _inside(value: Any, interval: str) -> bool:
    first, last = (float(end) for end in interval[1:-1].split(","))
    if not isinstance(value, int | float) or math.isnan(value):
        return False
    above = value >= first if interval[0] == "[" else value > first
    return above and (value <= last if interval[-1] == "]" else value < last)


def free(section: Section) -> Section:
    """Returns the section with all keys free to differ between a run and its continuation."""
    return {
        name: dataclasses.replace(part, free=True) if isinstance(part, Key) else free(part)
        for name, part in section.items()
    }


def keys_of(section: Section, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """Yields every key of a section and its subsections, with its dotted name."""
    for name, part in section.items():
        if isinstance(part, Key):
            yield prefix + name, part
        else:
            yield from keys_of(part, f"{prefix}{name}.")


def defaults_of(section: Section) -> ConfigDict:
    """Returns the section as a configuration with every key at its default."""
    return ConfigDict(
        {
            name: part.default if isinstance(part, Key) else defaults_of(part)
            for name, part in section.items()
        }
    )


def value_of(config: ConfigDict, name: str) -> Any:
    """Returns the value of the key with a dotted name."""
    return functools.reduce(operator.getitem, name.split("."), config)


def check_keys(section: Section, config: ConfigDict) -> None:
    """Checks the value of every key separately.

    Args:
        section: the schema.
        config: a configuration of that form.

    Raises:
        UserError: names the first invalid key.
    """
    for name, key in keys_of(section):
        value = value_of(config, name)
        if not key.takes(value):
            raise misfit(name, value, key.expected(), _todo(name, key))


def misfit(name: str, value: Any, expected: str, todo: str) -> UserError:
    """Makes the error for an invalid value.

    Args:
        name: dotted name of the key.
        value: its value.
        expected: the valid values.
        todo: how to fix it.
    """
    return UserError(
        f"config.{name} = {value!r} does not fit.",
        where=f"config.{name}",
        expected=expected,
        todo=todo,
    )


def _todo(name: str, key: Key) -> str:
    if key.default in ("", ()):
        return f"give --config.{name} such a value, or leave it out"
    shown = f'"{key.default}"' if isinstance(key.default, tuple) else f"{key.default}"
    return f"set --config.{name}={shown}"
