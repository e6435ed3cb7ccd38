"""The one error type for what a user can mend, and how names are shown."""


class UserError(Exception):
    """A problem that the user can mend; the command line prints it and exits with status 2.

    Args:
        what: what went wrong, one sentence.
        where: the file, config key or id in question.
        expected: what should have been there.
        todo: what the user can do about it.
    """

    def __init__(self, what: str, *, where: object, expected: str, todo: str):
        self.what, self.where, self.expected, self.todo = what, str(where), expected, todo
        text = f"{what}\n  where: {where}\n  expected: {expected}\n  to do: {todo}"
        super().__init__(printable(text))


def printable(text: str) -> str:
    """A text that a terminal shows as it is.

    Args:
        text: with names of files, which may hold anything.

    Returns:
        The text with escapes in place of control characters but line ends.
    """
    return "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in text)
