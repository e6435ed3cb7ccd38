"""The error type for problems that a user can fix, and the display of names."""

from collections.abc import Mapping
from typing import Any


class UserError(Exception):
    """A problem that the user can fix; the command line prints it and exits with status 2.

    Args:
        what: the problem, in one sentence.
        where: the file, config key or id in question.
        expected: the expected state.
        todo: what the user can do about it.
    """

    def __init__(self, what: str, *, where: object, expected: str, todo: str):
        self.what, self.where, self.expected, self.todo = what, str(where), expected, todo
        text = f"{what}\n  where: {where}\n  expected: {expected}\n  to do: {todo}"
        super().__init__(printable(text))


def changed_settings(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Lists the settings that differ from an earlier run, for a message.

    Args:
        there: the earlier values.
        now: the wanted ones; others are not compared.

    Returns:
        "KEY: there VALUE, now VALUE" for each key with another value, or without one.
    """
    other = [key for key, value in now.items() if there.get(key) != value]
    return [f"{key}: there {there.get(key)!r}, now {now[key]!r}" for key in other]


def printable(text: str) -> str:
    """Makes a text safe for a terminal.

    Args:
        text: text with file names, which may contain any characters.

    Returns:
        The text with control characters escaped, except line ends.
    """
    return "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in text)
