"""`hubel bench speed`: CPU time as a ratio to the naive way, or (`--peers`) to other libraries."""

from __future__ import annotations

import argparse

from ...agent.cli import output
from ...agent.cli.exit_status import DONE
from . import shared_options
from .other_libraries import run_peers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is timed, on which subject."""
    shared_options.add_subject(parser)
    shared_options.add_corpus(parser)
    parser.add_argument(
        "--peers",
        action="store_true",
        help="compare with nnsight, TransformerLens and captum instead (pip install hubel[oracles])",
    )
    parser.add_argument(
        "--layers",
        metavar="L,L|all",
        help="with --peers: layers whose heads are patched (default: three of them)",
    )


def run(args: argparse.Namespace) -> int:
    """Time everything on one thread and print the ratios."""
    if args.peers:
        return run_peers(args)
    import torch

    from ...tools.subject import load_subject
    from ..circuits_speed import circuits_speed
    from ..speed import early_stop_speed, index_speed, statistics_speed

    torch.set_num_threads(1)
    subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
    comparisons = [*statistics_speed(), early_stop_speed(subject), *circuits_speed(subject)]
    index = index_speed(subject, args.corpus)
    if args.json:
        for comparison in comparisons:
            output.json_line(comparison._asdict())
        output.json_line({"index": index})
        return DONE
    columns = ("what", "CPU s", "naive CPU s", "times faster", "the naive way")
    cells = [
        (row.name, f"{row.ours:.3f}", f"{row.naive:.3f}", f"{row.ratio:.1f}", row.naive_way)
        for row in comparisons
    ]
    output.table(columns, cells, right=columns[1:4])
    output.line(
        f"index: {index['tokens_a_second']:,.0f} tokens per second, the bare forward pass "
        f"{index['forward_tokens_a_second']:,.0f} ({index['forward_share']:.0%}); "
        f"peak memory {index['peak_rss_mb']:,.0f} MB"
    )
    return DONE
