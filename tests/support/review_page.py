"""Shared by the tests of the review page."""

from __future__ import annotations

from pathlib import Path

from hubel.agent.runlog.log import canonical, read_events


def unsealed(folder: Path) -> list[str]:
    """The events of a run as the lines that were written."""
    return [canonical(event._asdict()) for event in read_events(folder)]
