"""`hubel loopback`: a server that speaks both providers' protocols, to try a language-model run without a key."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

NAME = "loopback"
HELP = "a language-model server on this machine, to try a run without an API key"
INTERRUPTED = "the loopback server is stopped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where it listens."""
    parser.add_argument("--port", type=int, default=8017, help="0 for any free one (default: 8017)")
    parser.add_argument(
        "--script",
        type=Path,
        metavar="FILE",
        help="key, models, delay, rate limits, and which requests go wrong, as TOML (bench/loopback/script.py)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from ..loopback import Loopback, read_script
    from ..loopback.demo_model import DemoModel

    script = read_script(args.script) if args.script else None
    with Loopback(DemoModel(), args.port, script, keep=False) as server:
        sys.stderr.write(
            "a program that investigates as a beginner would answers here; in another terminal:\n"
            f"  hubel run --index I --targets T --explainer openai:beginner --base-url {server.url('openai')}\n"
            f"  hubel run --index I --targets T --explainer anthropic:beginner --base-url {server.url('anthropic')}\n"
            f"what it was asked so far: {server.url('anthropic')}/ledger\n"
        )
        threading.Event().wait()
    return 0
