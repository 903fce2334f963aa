"""`hubel loopback`: a server that speaks both providers' protocols, to try a run without an API key."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

NAME = "loopback"
HELP = "a language-model server on this machine, to try a run without an API key"
INTERRUPTED = "the loopback server is stopped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where it listens, and what it does differently."""
    parser.add_argument(
        "--port",
        type=int,
        default=8017,
        metavar="N",
        help="port to listen on; 0 for any free port (default: 8017)",
    )
    parser.add_argument(
        "--script",
        type=Path,
        metavar="FILE",
        help="TOML file with key, models, delay, rate limits and faults (see bench/loopback/script.py)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from ..loopback import Loopback, read_script
    from ..loopback.demo_model import DemoModel

    script = read_script(args.script) if args.script else None
    with Loopback(DemoModel(), args.port, script, keep=False) as server:
        sys.stderr.write(
            "a demo model answers here; in another terminal:\n"
            f"  hubel run --index I --targets T --explainer openai:beginner --base-url {server.url('openai')}\n"
            f"  hubel run --index I --targets T --explainer anthropic:beginner --base-url {server.url('anthropic')}\n"
            f"requests so far: {server.url('anthropic')}/ledger\n"
        )
        threading.Event().wait()
    return 0
