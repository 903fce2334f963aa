"""Fill the store of one run in a separate process, and compute what the run's row and page say.

`run_catalog` starts it when a log has grown by more than a request should wait for:

    python -m hubel.agent.review.fill_store FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from ...tools.errors import HubelError
from .run_catalog import StoredRun
from .run_page import precompute
from .store.database import Store, set_meta
from .store.fill import fill


def main(folder: Path) -> int:
    """Exit status 1 says that the log cannot be read; the server then finds out why."""
    store = Store(folder)

    def show_progress(read: int, total: int) -> None:
        with store.writing() as db:
            set_meta(db, "share", read / total if total else 1.0)

    try:
        fill(store, show_progress)
    except HubelError:
        return 1
    precompute(StoredRun(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
