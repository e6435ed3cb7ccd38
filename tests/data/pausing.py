"""Pauses before a file is read again, without waiting."""

from vatt_gh.data import waiting


def recorded_pauses(monkeypatch, events=None):
    """Lists the pauses as they come; events: {number of the pause, from 1: called during it}."""
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        event = (events or {}).get(len(pauses))
        if event:
            event()

    monkeypatch.setattr(waiting.time, "sleep", pause)
    return pauses
