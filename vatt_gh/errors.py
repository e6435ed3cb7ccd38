"""The error type for problems that a user can fix, and the display of names."""


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


def printable(text: str) -> str:
    """Makes a text safe for a terminal.

    Args:
        text: text with file names, which may contain any characters.

    Returns:
        The text with control characters escaped, except line ends.
    """
    return "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in text)
