"""What each worker of a cluster finds, for `hubel doctor`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...tools.errors import HubelError
from .engine import EngineChoice
from .ray_engine import RayEngine
from .worker import Worker


class WorkerFinding(NamedTuple):
    """What a worker has.

    Attributes:
        revision: of the subject that it would load.
        lack: why it has none; "" if it has.
        free: bytes of the shared folder's disk, as it sees it.
    """

    revision: str
    lack: str
    free: int


@dataclass(frozen=True)
class FindSubject:
    """Which revision of a subject a worker would load; its files are fetched if they are missing."""

    name: str
    shared: Path

    def run(self, worker: Worker) -> WorkerFinding:
        """What is here."""
        from ...tools.subject.load import subject_revision
        from ...tools.subject.locate import subject_folder

        free = shutil.disk_usage(self.shared).free
        try:
            subject_folder(self.name, None)  # a built-in subject has a revision without its files
            return WorkerFinding(subject_revision(self.name), "", free)
        except HubelError as error:
            return WorkerFinding("", str(error), free)


class ClusterFindings(NamedTuple):
    """What a cluster has.

    Attributes:
        note: nodes and workers.
        workers: what each has, by where it is.
        left_out: lines about workers that would not do.
    """

    note: str
    workers: dict[str, WorkerFinding]
    left_out: list[str]


def cluster_findings(choice: EngineChoice, shared: Path, subject: str) -> ClusterFindings:
    """Start the workers and ask each. Raises as `RayEngine.start`."""
    lines: list[str] = []
    engine = RayEngine.start(choice, shared, lines.append)
    try:
        engine.await_all()
        workers = engine.call_each(FindSubject(subject, shared.absolute()))
        return ClusterFindings(engine.note, workers, lines)
    finally:
        engine.close()
