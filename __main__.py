"""``python -m hubel`` and the ``hubel`` command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its status."""
    from .agent.cli.main import run_command_line

    sys.exit(run_command_line(sys.argv[1:], leave=os._exit))


if __name__ == "__main__":
    main()
