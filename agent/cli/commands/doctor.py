"""`hubel doctor`: check what is installed, cached and reachable."""

from __future__ import annotations

import argparse
from itertools import chain

from ....tools.files.untrusted_text import escape_control
from .. import options, output
from ..exit_status import DONE, FAILED

NAME = "doctor"
HELP = "check what is installed, cached and reachable, and say what to do next"
SIGNS = {"ok": "ok", "note": "note", "missing": "MISSING"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether to use the network."""
    parser.add_argument(
        "--online",
        action="store_true",
        help="also contact the package registry and the Hugging Face hub (takes seconds)",
    )
    parser.add_argument(
        "--subject",
        default="smollm2-135m",
        metavar="S",
        help="the subject that released dictionaries are looked up for, and that workers should have "
        "(default: smollm2-135m)",
    )
    options.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Print each check as soon as it is done; status 1 if something is missing."""
    from ..cluster_checks import cluster
    from ..doctor_checks import checks

    choice, missing = options.engine(args), 0
    found = checks(args.runs, online=args.online, subject=args.subject)
    of_cluster = () if choice.name == "local" else cluster(choice, args.runs, args.subject)
    for check in chain(found, of_cluster):
        missing += check.status == "missing"
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
            detail = escape_control(check.detail)
            output.line(f"{SIGNS[check.status]:<8} {check.name}: {detail}{todo}")
    if not args.json and missing:
        output.line(f"\n{missing} things are missing; the lines with -> say what to do")
    elif not args.json:
        output.line(
            "\neverything needed is here; next: `hubel demo`, or `hubel index` and `hubel run` on "
            "your own"
        )
    return FAILED if missing else DONE
