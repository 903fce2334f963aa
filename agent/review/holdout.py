"""The review page's only module that opens held-out text: what a person sees after opening a target's.

Opening is an event with a name and a time, and has a separate request. Nothing here reads before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...tools.subject.address import Unit
from ..runlog.data_files import check_file
from ..runlog.layout import COLLECTED
from .run_catalog import StoredRun, safe_path

if TYPE_CHECKING:
    from .token_maps import ErrorMaps


class Sealed(PermissionError):
    """The target's held-out text has not been opened: status 403."""


def worst_errors_on_holdout(
    run: StoredRun, target: str, predicate: str, limit: int, offset: int
) -> ErrorMaps:
    """True and predicted activations on held-out text, largest errors first.

    Raises:
        Sealed: nobody has opened the target's held-out text.
    """
    if run.reviews.opened(target) is None:
        raise Sealed(
            f"held-out text of {target} is closed: opening it is logged, and every later review of the target is "
            "marked as made after viewing"
        )
    from ...tools.index.holdout import open_collected_holdout
    from .token_maps import collected_data, worst_errors

    collected = open_collected_holdout(safe_path(run, COLLECTED, "holdout.safetensors").parent)
    check_file(run.folder, f"{COLLECTED}/{collected.file_of(Unit.parse(target)).name}")
    data = collected_data(run.folder)
    lexicon = data.lexicon if data else None
    return worst_errors(Unit.parse(target), predicate, collected, lexicon, "holdout", limit, offset)
