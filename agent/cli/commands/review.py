"""`hubel review`: runs in the browser, finished or still running."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from .. import output
from ..exit_status import DONE

NAME = "review"
HELP = "inspect and judge runs in the browser"
INTERRUPTED = "the review page is closed; reviews are saved in the folders of the runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which runs, and where the page listens."""
    parser.add_argument("run", nargs="*", help="names or folders of runs (default: all runs)")
    parser.add_argument(
        "--port",
        type=int,
        metavar="N",
        help="port to listen on; 0 for any free port (default: 8411 if free)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1); any other admits everybody who has the token",
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="allow trying texts; loads the subject when first needed",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address and open no browser"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from ...review.guard import is_loopback
    from ...review.run_catalog import RunCatalog
    from ...review.serve import serve

    if not is_loopback(args.host):
        output.note(
            f"hubel: {args.host} can be reached from other machines; the token is sent unencrypted"
        )

    def opened(address: str) -> None:
        if args.json:
            output.json_line({"review": address})
        else:
            output.line(f"review page: {address}")
            output.line("Ctrl-C closes it")
        sys.stdout.flush()
        if not args.no_browser:
            from ...review.opening_file import open_page

            at_the_end.callback(open_page(address, args.runs))

    with ExitStack() as at_the_end:
        serve(
            RunCatalog(args.runs, args.run),
            host=args.host,
            port=args.port,
            live=args.live,
            opened=opened,
        )
    return DONE
