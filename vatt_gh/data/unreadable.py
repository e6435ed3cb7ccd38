"""What turns out to be damaged while it is read: told once, counted, listed; the rest is read."""

import json
import sys
import threading
from pathlib import Path


class Unreadable:
    """Files and records that could not be read; threads share it.

    Attributes:
        log: takes a row {"path", "reason"} for each, where it is set.
    """

    def __init__(self) -> None:
        self.log: Path | None = None
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, path: str | Path, reason: str) -> None:
        """Notes what could not be read, unless it is noted already.

        Args:
            path: the file.
            reason: one sentence.
        """
        with self._lock:
            if (str(path), reason) in self._seen:
                return
            self._seen.add((str(path), reason))
            print(f"left out: {path}: {reason}", file=sys.stderr, flush=True)
            if self.log is not None:
                with self.log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"path": str(path), "reason": reason}) + "\n")
