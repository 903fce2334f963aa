"""`hubel review`: runs in the browser, while they are still being written too."""

from __future__ import annotations

import argparse
import sys

from .. import output

NAME = "review"
HELP = "inspect and judge runs in the browser"
INTERRUPTED = "the review page is closed; what was decided is in the runs' folders"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which runs, and where the page is."""
    parser.add_argument(
        "run", nargs="*", help="names or folders of runs (default: all in the runs folder)"
    )
    parser.add_argument(
        "--port",
        type=int,
        help="port to listen on; 0 for any free one (default: 8411 if it is free)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; any but loopback lets others in who have the token",
    )
    parser.add_argument(
        "--live", action="store_true", help="load the subject when it is first needed, to try texts"
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address, open nothing")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from ...review.guard import is_loopback
    from ...review.run_catalog import RunCatalog
    from ...review.serve import serve

    if not is_loopback(args.host):
        sys.stderr.write(
            f"hubel: {args.host} can be reached from other machines; the token goes over the wire unencrypted\n"
        )

    def opened(address: str) -> None:
        if args.json:
            output.json_line({"review": address})
        else:
            output.line(f"review page: {address}")
            output.line("Ctrl-C closes it")
        sys.stdout.flush()
        if not args.no_browser:
            import webbrowser

            webbrowser.open(address)

    serve(
        RunCatalog(args.runs, args.run),
        host=args.host,
        port=args.port,
        live=args.live,
        opened=opened,
    )
    return 0
