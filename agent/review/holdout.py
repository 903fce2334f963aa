"""The one module of the review page behind the door to held-out text: what a person looks at after
opening it.

Opening is an event with a name and a time, and is asked for with a request of its own. Before it,
nothing here reads.
"""

from __future__ import annotations

from typing import Any

from ..runlog.layout import COLLECTED
from .run_catalog import StoredRun, safe_path


class Sealed(PermissionError):
    """The target's held-out text has not been opened: status 403."""


def predicted_on_holdout(
    run: StoredRun, target: str, predicate: str, most: int, offset: int
) -> dict[str, Any]:
    """True beside predicted on held-out text, worst misses first.

    Raises:
        Sealed: nobody has opened the target's held-out text.
    """
    if run.reviews.opened(target) is None:
        raise Sealed(
            f"held-out text of {target} is closed: opening it is written down, and what is said of the target from "
            "then on is marked as said after viewing"
        )
    from ...tools.index.holdout import open_collected_holdout
    from . import token_maps

    collected = open_collected_holdout(safe_path(run, COLLECTED, "holdout.safetensors").parent)
    data = token_maps.data_of(run.folder)
    return token_maps.misses(
        target, predicate, collected, data and data.lexicon, "holdout", most, offset
    )
