"""`hubel doctor --engine ray`: what a cluster is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...tools.errors import HubelError
from ...tools.files.sizes import readable_size
from ..engine import EngineChoice
from .doctor_checks import NEEDED_DISK, Check


def cluster(choice: EngineChoice, shared: Path, subject: str) -> Iterator[Check]:
    """Whether Ray is here and the cluster answers, and what each worker has.

    Args:
        shared: a folder that all nodes should see.
        subject: which all workers should have.
    """
    from ...tools.subject.load import subject_revision
    from ..engine.worker_findings import cluster_findings

    at = choice.address or "this machine"
    try:
        findings = cluster_findings(choice, shared, subject)
        expected = subject_revision(subject)
    except HubelError as error:
        yield Check("cluster", "missing", str(error), "see docs/cluster.md")
        return
    yield Check("cluster", "ok", f"{at}: {findings.note}; all see {shared.absolute()}")
    for line in findings.left_out:
        yield Check("worker", "missing", line, "see docs/cluster.md")
    for where, worker in findings.workers.items():
        free = f"{readable_size(worker.free)} free in {shared}"
        if worker.lack:
            todo = (
                "put the subject into its cache (HUBEL_CACHE) or into a folder that all nodes see"
            )
            yield Check("worker", "missing", f"{where}: {worker.lack}", todo)
        elif worker.revision != expected:
            detail = f"{where}: {subject} is {worker.revision}, here {expected}"
            yield Check(
                "worker", "missing", detail, "put the same subject into its cache or folder"
            )
        elif worker.free < NEEDED_DISK:
            yield Check(
                "worker", "missing", f"{where}: {free}", "make room, or give another --runs"
            )
        else:
            detail = f"{where}: {subject} {worker.revision}, same versions as here, {free}"
            yield Check("worker", "ok", detail)
