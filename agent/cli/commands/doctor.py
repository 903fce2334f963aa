"""`hubel doctor`: what is installed, cached, reachable, and what to do next."""

from __future__ import annotations

import argparse

from ....tools.files.untrusted_text import escape_control
from .. import output
from ..exit_status import DONE, FAILED

NAME = "doctor"
HELP = "check what is installed, cached and reachable, and say what to do next"
SIGNS = {"ok": "ok", "note": "note", "missing": "MISSING"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--online", action="store_true", help="also ask the package registry and the hub (seconds)"
    )


def run(args: argparse.Namespace) -> int:
    from ..doctor_checks import checks

    found = []
    for check in checks(args.runs, online=args.online):
        found.append(check)
        if args.json:
            output.json_line(
                {
                    "check": check.name,
                    "status": check.status,
                    "detail": check.detail,
                    "todo": check.todo or None,
                }
            )
        else:
            todo = f"\n         -> {check.todo}" if check.todo else ""
            output.line(
                f"{SIGNS[check.status]:<8} {check.name}: {escape_control(check.detail)}{todo}"
            )
    missing = sum(check.status == "missing" for check in found)
    if not args.json:
        output.line(f"\n{_next(missing)}")
    return FAILED if missing else DONE


def _next(missing: int) -> str:
    if missing:
        return f"{missing} things are missing; the lines with -> say what to do"
    return "all that is needed is here; next: `hubel demo`, or `hubel index` and `hubel run` on your own"
