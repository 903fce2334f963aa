"""What each worker of a cluster finds, for `hubel doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...tools.errors import HubelError
from .engine import EngineChoice
from .ray_engine import RayEngine
from .worker import Worker


@dataclass(frozen=True)
class FindSubject:
    """Which revision of a subject a worker would load; its files are fetched if they are missing."""

    name: str

    def run(self, worker: Worker) -> str:
        """The revision, or why there is none."""
        from ...tools.subject.load import subject_revision

        try:
            return subject_revision(self.name)
        except HubelError as error:
            return str(error)


class ClusterFindings(NamedTuple):
    """What a cluster has.

    Attributes:
        note: nodes and workers.
        revisions: worker to the revision of the subject that it has.
        left_out: lines about workers that would not do.
    """

    note: str
    revisions: dict[str, str]
    left_out: list[str]


def cluster_findings(choice: EngineChoice, shared: Path, subject: str) -> ClusterFindings:
    """Start the workers and ask each. Raises as `RayEngine.start`."""
    lines: list[str] = []
    engine = RayEngine.start(choice, shared, lines.append)
    try:
        engine.await_all()
        revisions = engine.call_each(FindSubject(subject))
        return ClusterFindings(engine.note, revisions, lines)
    finally:
        engine.close()
