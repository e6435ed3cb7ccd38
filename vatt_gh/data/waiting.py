"""Waits for files that cannot be read: a mounted disk may be away for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

PAUSES = (0.1, 1.0, 5.0, 15.0)  # s, before a file is read again
T = TypeVar("T")


class Waiting:
    """Reads again what was away, once for each file and folder; shared by threads."""

    def __init__(self) -> None:
        self._gone: set[str] = set()  # files and folders that stayed away

    def until_there(
        self, path: str, folder: str, attempt: Callable[[], T], is_away: Callable[[T], bool]
    ) -> T:
        """Tries to read a file, and again after each of PAUSES while it is away.

        Does not wait again for a file that stayed away, nor for other files of its folder until
        one of them is read.

        Args:
            path: the file.
            folder: the folder that is mounted together with it.
            attempt: reads it.
            is_away: whether what `attempt` returns says that the file is away.

        Returns:
            The result of the last attempt.
        """
        found = attempt()
        away = is_away(found)
        if away and not self._gone & {path, folder}:
            for pause in PAUSES:
                time.sleep(pause)
                found = attempt()
                away = is_away(found)
                if not away:
                    break
            else:
                self._gone.update((path, folder))
        if not away:
            self._gone.difference_update((path, folder))
        return found
