"""``python -m hubel`` and the ``hubel`` command."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
from types import TracebackType


def main() -> None:
    """Run the command line and exit with its status."""
    from .agent.cli.main import run_command_line
    from .tools.files.secrets import mask_message
    from .tools.files.untrusted_text import printable

    def show_defect(
        kind: type[BaseException], error: BaseException, at: TracebackType | None
    ) -> None:
        lines = "".join(traceback.format_exception(kind, error, at))
        sys.stderr.write(printable(mask_message(lines)))

    sys.excepthook = show_defect
    status = run_command_line(sys.argv[1:], leave=os._exit)
    if threading.active_count() == 1:
        # An interpreter that ends in the usual way takes its modules apart first: a second after
        # torch was imported. What the command registered to be done at exit is done here.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
