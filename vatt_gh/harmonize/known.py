"""Finds parameters whose uses are all covered by a rule, and logs notes on the others."""

import logging
from collections.abc import Iterator, Mapping, Sequence

import jax

from vatt_gh.harmonize.dataflow import Other, Site
from vatt_gh.harmonize.recording import Trace
from vatt_gh.harmonize.rules import Rule
from vatt_gh.harmonize.trees import ParamPath, named

Array = jax.Array
_log = logging.getLogger(__name__)
_noted: set[str] = set()
_SHOWN = 3  # parameters that a note names


def known_rules(traces: Sequence[Trace]) -> dict[ParamPath, Rule]:
    """Finds the rule of each parameter that needs no per-sample gradients.

    Args:
        traces: traces of all passes through the encoder.

    Returns:
        {path: rule} of parameters that are used in a single form that a rule covers.
    """
    found = {}
    for path, uses in _uses(traces):
        if all(isinstance(use, Site) and use.rule == uses[0].rule for use in uses):
            found[path] = uses[0].rule
    return found


def reasons(traces: Sequence[Trace]) -> dict[ParamPath, str]:
    """Explains why the other parameters' gradients are formed sample by sample.

    Args:
        traces: traces of all passes through the encoder.

    Returns:
        {path: use of the parameter}.
    """
    known, found = known_rules(traces), {}
    for path, uses in _uses(traces):
        if path not in known:
            other = dict.fromkeys(use.reason for use in uses if isinstance(use, Other))
            found[path] = " and ".join(other) or "is used in several forms"
    return found


def note(traces: Sequence[Trace], params: Mapping[ParamPath, Array]) -> None:
    """Logs once which gradients are formed sample by sample, except vectors and small ones.

    Args:
        traces: traces of all passes through the encoder.
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
    """Logs a warning once per process.

    Args:
        text: text of the warning.
    """
    if text not in _noted:
        _noted.add(text)
        _log.warning("%s", text)


def _uses(traces: Sequence[Trace]) -> Iterator[tuple[ParamPath, list[Site | Other]]]:
    for path in dict.fromkeys(path for trace in traces for path in trace.uses):
        yield path, [use for trace in traces for use in trace.uses.get(path, [])]
