"""The door to held-out text for `hubel eval`: the only module here that may open it.

Scores are computed in this process or on workers, and both get their text here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...tools.index.holdout import open_collected_holdout, stored_activations
from ..runlog.log import RunLog
from ..runlog.progress import Reporter
from .data import ReadyParts, SourceData
from .plan import RescoringPlan
from .sources import ExplanationSource

if TYPE_CHECKING:
    from ...tools.subject import Subject


def open_source_data(
    source: ExplanationSource,
    plan: RescoringPlan,
    reporter: Reporter,
    subject: Subject | None,
    log: RunLog,
    ready: ReadyParts | None = None,
) -> SourceData:
    """What scoring a source's explanations reads, held-out text included.

    Args:
        subject: the subject, if the caller has loaded it.
        log: of the source's folder.
        ready: of a worker.
    """
    doors = open_collected_holdout, log, stored_activations
    return SourceData(source, plan, reporter, subject, *doors, ready)
