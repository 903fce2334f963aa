"""What answers work with: the runs, the subject that is loaded, the jobs that were started."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from starlette.requests import Request

from ...tools.errors import CorruptError, UnavailableError
from .explain_again import Jobs
from .guard import SLASH
from .run_catalog import RunCatalog, StoredRun, UnknownName
from .try_subject import SubjectSession


class AppState:
    """What the operations work with."""

    def __init__(self, library: RunCatalog, live: SubjectSession) -> None:
        self.library, self.live, self.jobs = library, live, Jobs(library)
        self.asked = threading.Event()
        """Set when the first question about runs is answered: what later pages need is loaded then, and not before."""

    def run(self, request: Request) -> StoredRun:
        """The run of a request's path, kept up with its log."""
        run = self.library.run(name(request, "run"))
        if run.has_log and run.problem:
            raise CorruptError(run.problem)
        return run

    def unit_run(self, request: Request) -> StoredRun:
        """The same, for what only a run of units has."""
        run = self.run(request)
        if not run.has_log:
            raise UnknownName(
                f"{run.name} is a circuit and has no list of targets; see /runs/{run.name}/circuit"
            )
        if not run.is_registered():
            raise UnavailableError(
                f"{run.name} is being read for the first time; ask again in a moment"
            )
        return run


def name(request: Request, part: str) -> str:
    """A name out of a request's path; it may hold what would be a slash."""
    return request.path_params[part].replace(SLASH, "/")


Endpoint = Callable[[AppState, Request, Any], Any]
"""Site, request and the JSON of its body to what is answered."""
