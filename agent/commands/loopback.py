"""`hubel loopback`: a server that speaks both providers' protocols, to try a language-model run without a key."""

from __future__ import annotations

import argparse
import sys
import threading

NAME = "loopback"
HELP = "a language-model server on this machine, to try a run without a key"
INTERRUPTED = "the loopback server is stopped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where it listens."""
    parser.add_argument("--port", type=int, default=8017, help="0 for any free one (default: 8017)")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from ..llm.beginner import Beginner
    from ..llm.loopback import Loopback

    with Loopback(Beginner(), port=args.port) as server:
        sys.stderr.write(
            "a program that investigates as a beginner would answers here; in another terminal:\n"
            f"  hubel run --index I --targets T --explainer openai:beginner --base-url {server.url('openai')}\n"
            f"  hubel run --index I --targets T --explainer anthropic:beginner --base-url {server.url('anthropic')}\n"
        )
        threading.Event().wait()
    return 0
