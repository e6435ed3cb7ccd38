"""Which checkpoints stay, and when one is due by time."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vatt_gh.errors import UserError
from vatt_gh.report.jsonl import read_jsonl
from vatt_gh.report.page import less_is_better
from vatt_gh.training.parallel import from_first_host


@dataclasses.dataclass
class KeptCheckpoints:
    """Orbax's policy: the two newest checkpoints stay, then regular ones before those by time.

    Of the two, one is left where the other is damaged: the run goes back by one interval.

    Attributes:
        count: number of checkpoints that stay.
        every: steps between regular ones.
        best: returns the best of some steps, which stays beside them, or None.
    """

    count: int
    every: int
    best: Callable[[Sequence[int]], int | None]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Tells whether each of the checkpoints, in order of their steps, stays."""
        del context
        steps = [info.step for info in checkpoints]
        newest = steps[-min(self.count, 2) :]
        others = steps[: len(steps) - len(newest)]
        others.sort(key=lambda step: (step % self.every == 0, step), reverse=True)
        kept = {*newest, *others[: self.count - len(newest)], self.best(steps)}
        return [step in kept for step in steps]


class BestStep:
    """Finds the best of a run's steps by a score; the same on all hosts.

    Args:
        name: name of the score, such as 'eval.retrieval.r5'; "": no step is the best.
        metrics: the run's metrics.jsonl, which has the scores of steps before; it may not exist.
    """

    def __init__(self, name: str, metrics: Path):
        self._name = name
        self._goodness: dict[int, float] = {}
        if name:
            rows = from_first_host(read_jsonl(metrics, ("step",)) if metrics.exists() else [])
            self._goodness = {r["step"]: goodness_of(name, r[name]) for r in rows if name in r}

    def of(self, steps: Sequence[int]) -> int | None:
        """Finds the best of some steps, the first of equal ones; None: none has a known score."""
        known = [step for step in sorted(steps) if step in self._goodness]
        return max(known, key=self._goodness.__getitem__, default=None)

    def note(self, step: int, scores: Mapping[str, float], others: Sequence[int]) -> bool:
        """Notes the score of a step; returns whether it is better than those of the others.

        Args:
            step: the scored step.
            scores: scores by name; every host gives its own, and the first one's count.
            others: steps to compare it with.
        """
        if not self._name:
            return False
        mine = from_first_host(goodness_of(self._name, scores.get(self._name, math.nan)))
        best = self.of(others)
        self._goodness[step] = mine
        return best is None or mine > self._goodness[best]

    def check_named(self, scores: Mapping[str, float]) -> None:
        """Refuses a name that is none of the scores.

        Raises:
            UserError: it is none of them.
        """
        if self._name and self._name not in scores:
            raise UserError(
                "There is no such score to choose the best checkpoint by.",
                where=f"config.train.keep_best = {self._name!r}",
                expected=f"one of {', '.join(sorted(scores))}",
                todo="set --config.train.keep_best to one of them; the step is saved",
            )


def goodness_of(name: str, value: float | None) -> float:
    """Converts a score to a number that is higher where it is better; -inf where it is not finite.

    Args:
        name: name of the score, such as 'eval.retrieval.r5'.
        value: the score; None stands for a number that is not finite.
    """
    if value is None or not math.isfinite(value):
        return -math.inf
    return -value if less_is_better(name) else float(value)


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
        """Tells whether a checkpoint is due after a step, asked at steps that are logged.

        Args:
            step: counted from 1; every host asks, and all hear what the first one's clock says.
        """
        if not self._seconds or step % self._every:
            return False
        return from_first_host(time.monotonic() - self._since >= self._seconds)
