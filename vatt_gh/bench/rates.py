"""Rates of cases that take turns, and their shares of bare decoding."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any


def in_turns(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measures each case once a round, so that a slow moment of the machine meets all of them.

    Args:
        cases: {name: function that measures a rate}.
        rounds: number of rounds.

    Returns:
        {name: its rate in each round}.
    """
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            rates[name].append(case())
    return rates


def rate_rows(
    rates: Mapping[str, list[float]], unit: str, bare_of: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Summarises the rates of cases.

    Args:
        rates: {name: its rate in each round}.
        unit: their unit.
        bare_of: name of a case -> that of the bare decoding to compare it with.

    Returns:
        A row for each case: 'case', 'rate' (median), 'unit', 'share_of_bare_decode' (median of the
        ratios by round).
    """
    rows = []
    for name, measured in rates.items():
        pairs = zip(measured, rates[bare_of(name)], strict=True)
        share = statistics.median(rate / bare for rate, bare in pairs)
        rate = statistics.median(measured)
        rows.append({"case": name, "rate": rate, "unit": unit, "share_of_bare_decode": share})
    return rows
