"""Which checkpoints stay, and when one is due by time."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vatt_gh.errors import UserError
from vatt_gh.report.page import less_is_better
from vatt_gh.training.parallel import from_first_host


@dataclasses.dataclass
class KeptCheckpoints:
    """Orbax's policy: the newest checkpoint stays, then regular ones before those by time.

    Attributes:
        count: of those that stay.
        every: steps between regular ones.
        best: returns the best of some steps, which stays beside them, or None.
    """

    count: int
    every: int
    best: Callable[[Sequence[int]], int | None]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Whether each of the checkpoints, in order of their steps, stays."""
        del context
        steps = [info.step for info in checkpoints]
        newest, others = steps[-1:], steps[:-1]
        others.sort(key=lambda step: (step % self.every == 0, step), reverse=True)
        kept = {*newest, *others[: self.count - 1], self.best(steps)}
        return [step in kept for step in steps]


def goodness_of(name: str, scores: Mapping[str, float]) -> float:
    """A score as a number that is higher where it is better; -inf where it is not finite.

    Args:
        name: of the score, such as 'eval.retrieval.r5'.
        scores: by name.

    Raises:
        UserError: it is none of them.
    """
    if name not in scores:
        raise UserError(
            "There is no such score to find the best checkpoint by.",
            where=f"config.train.keep_best = {name!r}",
            expected=f"one of {', '.join(sorted(scores))}",
            todo="set --config.train.keep_best to one of them",
        )
    value = float(scores[name])
    if not math.isfinite(value):
        return -math.inf
    return -value if less_is_better(name) else value


class CheckpointClock:
    """Says when train.checkpoint_minutes have passed since the last checkpoint.

    Args:
        train: section of the configuration.
    """

    def __init__(self, train: ConfigDict):
        self._seconds, self._every = 60 * train.checkpoint_minutes, train.log_every
        self.restart()

    def restart(self) -> None:
        """Counts from now on."""
        self._since = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether a checkpoint is due after a step, asked at steps that are logged.

        Args:
            step: from 1; every host asks, and all hear what the first one's clock says.
        """
        if not self._seconds or step % self._every:
            return False
        return from_first_host(time.monotonic() - self._since >= self._seconds)
