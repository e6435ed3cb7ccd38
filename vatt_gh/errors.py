"""The one error type for what a user can mend."""


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
        super().__init__(f"{what}\n  where: {where}\n  expected: {expected}\n  to do: {todo}")
