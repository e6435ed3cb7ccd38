"""Which parameters a rule knows in all of their uses, and what the log says of the others."""

import logging
from collections.abc import Iterator, Mapping, Sequence

import jax

from vatt_gh.harmonize.dataflow import Other, Site
from vatt_gh.harmonize.recording import Trace
from vatt_gh.harmonize.rules import Rule
from vatt_gh.harmonize.trees import Path, named

Array = jax.Array
_log = logging.getLogger(__name__)
_noted: set[str] = set()
_SHOWN = 3  # parameters that a note names


def known_rules(traces: Sequence[Trace]) -> dict[Path, Rule]:
    """The rule of each parameter whose gradients need not be formed sample by sample.

    Args:
        traces: of all passes through the encoder.

    Returns:
        {path: rule}, of parameters that are used in one form alone, which a rule knows.
    """
    found = {}
    for path, uses in _uses(traces):
        if all(isinstance(use, Site) and use.rule == uses[0].rule for use in uses):
            found[path] = uses[0].rule
    return found


def reasons(traces: Sequence[Trace]) -> dict[Path, str]:
    """Why the gradients of the other parameters are formed sample by sample.

    Args:
        traces: of all passes through the encoder.

    Returns:
        {path: what is done with the parameter}.
    """
    known, found = known_rules(traces), {}
    for path, uses in _uses(traces):
        if path not in known:
            other = dict.fromkeys(use.reason for use in uses if isinstance(use, Other))
            found[path] = " and ".join(other) or "is used in several forms"
    return found


def note(traces: Sequence[Trace], params: Mapping[Path, Array]) -> None:
    """Names in the log, once, what is formed sample by sample, but for vectors and small ones.

    Args:
        traces: of all passes through the encoder.
        params: all parameters.
    """
    uses_of, by_reason = dict(_uses(traces)), {}
    for path, reason in reasons(traces).items():
        x, uses = params[path], uses_of[path]
        vector = x.size <= max(x.shape, default=1)
        if not vector and not all(isinstance(use, Other) and use.small for use in uses):
            by_reason.setdefault(reason, []).append(path)
    for reason, paths in by_reason.items():
        names = ", ".join(map(named, paths[:_SHOWN]))
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        size = sum(params[path].size for path in paths)
        say_once(
            f"{names}{more}: gradients are formed sample by sample, which is exact and takes "
            f"samples x parameters of memory ({size:,} a sample), because the parameter {reason}"
        )


def say_once(text: str) -> None:
    """Writes a warning that was not written before in this process.

    Args:
        text: of the warning.
    """
    if text not in _noted:
        _noted.add(text)
        _log.warning("%s", text)


def _uses(traces: Sequence[Trace]) -> Iterator[tuple[Path, list[Site | Other]]]:
    for path in dict.fromkeys(path for trace in traces for path in trace.uses):
        yield path, [use for trace in traces for use in trace.uses.get(path, [])]
