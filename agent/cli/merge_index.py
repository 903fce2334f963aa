"""`hubel index merge`: the shards of an index become the index."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ...tools.errors import UsageError
from ..runlog.progress import progress
from . import output
from .exit_status import DONE
from .index_summary import describe, describe_store

INTERRUPTED = "stopped; what is merged is kept, and the same command continues"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which shards, and where the index goes."""
    parser.add_argument("parts", nargs="+", type=Path, metavar="PART", help="folders of all shards")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="I", help="folder of the index (required)"
    )
    parser.add_argument(
        "--no-store", action="store_true", help="leave out the activation stores of the shards"
    )


def run(args: argparse.Namespace) -> int:
    """Merge, and print what the index holds."""
    if args.out.exists() and not args.out.is_dir():
        raise UsageError(f"--out {str(args.out)!r} is a file; name a folder")
    from ...tools.index import merge_shards
    from ...tools.index.activation_store.layout import store_bytes

    with progress(quiet=args.quiet) as reporter:
        summary = merge_shards(
            args.parts,
            args.out,
            store=not args.no_store,
            progress=reporter,
            warn=output.note if args.quiet else reporter.say,
        )
    if args.json:
        sizes = {"store_bytes": store_bytes(args.out), "shards": len(args.parts)}
        output.json_line(asdict(summary) | sizes)
    else:
        shards = output.count(len(args.parts), "shard")
        output.line(f"{args.out}: of {shards}, {describe(summary)}{describe_store(args.out)}")
    return DONE
