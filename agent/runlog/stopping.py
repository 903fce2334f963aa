"""How waiting work is asked to stop: `Stopped` is raised between steps and out of waits, and nothing is lost."""

from __future__ import annotations


class Stopped(Exception):
    """The run was asked to stop; what is done is kept, and `hubel resume` continues it."""
