"""What operations work with: the runs, the subject that is loaded, the jobs that were started."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from starlette.requests import Request

from ...tools.errors import CorruptError, UnavailableError
from .answer_threads import AnswerThreads
from .explain_again import Jobs
from .guard import SLASH
from .run_catalog import RunCatalog, StoredRun, UnknownName
from .try_subject import SubjectSession

READERS = 3
"""Threads for requests that look. They share one interpreter: more would only slow each other down."""
WRITERS = 8
"""Threads for requests that do something; one may load a subject for a minute."""


class AppState:
    """What operations work with. `first_answer` is set when a list of runs was sent, with which a visit begins."""

    def __init__(self, catalog: RunCatalog, live: SubjectSession) -> None:
        self.catalog, self.live, self.jobs = catalog, live, Jobs(catalog)
        self.first_answer = threading.Event()
        self.readers = AnswerThreads(READERS, "reader")
        self.writers = AnswerThreads(WRITERS, "writer")

    def unit_run(self, request: Request) -> StoredRun:
        """The run of a request's path, its store brought up to date.

        Raises:
            UnknownName: there is no such run, or it is a circuit or a study.
            CorruptError: its log cannot be read.
            UnavailableError: its log is being read for the first time.
        """
        run = self.catalog.run(name(request, "run"))
        if not run.is_unit_run:
            place = f"/runs/{run.name}" + "/circuit" * (run.kind == "circuit")
            raise UnknownName(f"{run.name} is a {run.kind} and has no list of targets; see {place}")
        if run.problem:
            raise CorruptError(run.problem)
        if not run.is_registered():
            raise UnavailableError(
                f"{run.name} is being read for the first time; ask again in a moment"
            )
        return run


def name(request: Request, part: str) -> str:
    """A name out of a request's path, with its slashes."""
    return request.path_params[part].replace(SLASH, "/")


Endpoint = Callable[[AppState, Request, Any], Any]
"""State, request and body to what is answered."""
