"""The nearest units of a run's targets, written to its log so that pages show them without a subject.

They are not part of an investigation: no explainer sees them, and no number or replay depends on
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...tools.index import Collected
from ...tools.instruments.similar_units import (
    SimilarUnits,
    coactive_targets,
    nearest_by_direction,
)
from ...tools.subject.address import Unit
from ..runlog.config import RunConfig
from ..runlog.log import RunLog
from ..runlog.progress import Reporter

if TYPE_CHECKING:
    from ...tools.subject import Subject

EVENT = "neighbours"


def record_neighbours(
    config: RunConfig,
    together: Sequence[str],
    log: RunLog,
    subject: Callable[[], Subject],
    explore: Collected,
    reporter: Reporter,
) -> None:
    """Write one event per target, `{"direction": ..., "together": ...}`, unless it is there already.

    Args:
        together: the targets, which are compared with each other.
    """
    targets = [target for target in together if not log.has(EVENT, target)]
    if not targets:
        return
    units = {target: Unit.parse(target) for target in together}
    # An artificial target has no weights, so that nothing is near it by direction.
    real = [units[target] for target in targets if target not in config.nulls]
    by_direction = nearest_by_direction(
        subject(), real, lambda done, total: reporter.update("nearest units", done, total)
    )
    coactive = coactive_targets(explore, list(units.values()))
    for target in targets:
        is_null = target in config.nulls
        nearest = None if is_null else by_direction.get(str(units[target].unsided))
        row = {"direction": _to_json(nearest), "together": _to_json(coactive.get(target))}
        log.write(EVENT, row, target=target)


def _to_json(similar: SimilarUnits | None) -> dict[str, Any] | None:
    return None if similar is None else similar._asdict()
