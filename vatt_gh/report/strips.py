"""The frames of a clip that its picture shows."""


def first_middle_last(count: int) -> list[int]:
    """Lists the numbers of the first, middle and last of `count` frames; some may be the same."""
    return [0, count // 2, count - 1]
