"""How work that waits is asked to stop: `Stopped` is raised between steps and out of waits, and loses nothing."""

from __future__ import annotations


class Stopped(Exception):
    """The run was asked to stop; what is done is kept, and `hubel resume` goes on."""
