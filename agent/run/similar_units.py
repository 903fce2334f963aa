"""The nearest units of a run's targets, written to its log: pages show them where there is no
subject to ask.

They are no part of an investigation: no explainer is shown them, no figure and no replay rests on
them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.index import Collected
from ...tools.instruments.neighbours import Neighbours, active_together, nearest_by_direction
from ...tools.subject.address import Unit
from ..runlog.config import RunConfig
from ..runlog.layout import COLLECTED
from ..runlog.log import RunLog, WriterLock, seal
from ..runlog.progress import Reporter

if TYPE_CHECKING:
    from ...tools.subject import Subject

EVENT = "neighbours"


def record_neighbours(
    config: RunConfig,
    log: RunLog,
    subject: Callable[[], Subject],
    explore: Collected,
    reporter: Reporter,
) -> None:
    """Write one event a target, `{"direction": ..., "together": ...}`; nothing when they are there."""
    targets = [target for target in config.targets if log.get(EVENT, target) is None]
    if not targets:
        return
    real = [Unit.parse(target) for target in targets if target not in config.nulls]
    near = nearest_by_direction(
        subject(), real, lambda done, of: reporter.update("nearest units", done, of)
    )
    together = active_together(explore, [Unit.parse(target) for target in config.targets])
    for target in targets:
        by_direction = (
            near.get(str(Unit.parse(target).unsided)) if target not in config.nulls else None
        )
        found = {"direction": _plain(by_direction), "together": _plain(together.get(target))}
        log.write(EVENT, found, target=target)


def _plain(found: Neighbours | None) -> dict[str, Any] | None:
    return None if found is None else found._asdict()


def add_neighbours(folder: Path, reporter: Reporter) -> None:
    """Record the nearest units of a run that was made before they were recorded. Loads the subject.

    Raises:
        CorruptError: the run's activations are not there.
        UsageError: the run is being written, or the subject has other weights than the run was made with.
    """
    from .resources import RunResources

    config = RunConfig.load(folder)
    with (
        WriterLock(folder),
        closing(RunLog(folder)) as log,
        closing(RunResources(folder, config, log, reporter, None, None, None)) as workshop,
    ):
        record_neighbours(
            config, log, workshop.subject, Collected.open(folder / COLLECTED, "explore"), reporter
        )
        ended = log.get("verdicts") is not None
        log.close()
        if ended:
            seal(folder)
