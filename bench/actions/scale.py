"""`hubel bench scale`: what an index and targets cost as subjects grow, and what that says of larger ones."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...agent.cli import output
from ...agent.cli.exit_status import DONE
from . import shared_options

if TYPE_CHECKING:
    from ..scale.cost_model import LeftOut
    from ..scale.measure import SizeCost
    from ..scale.projection import Projection

TOKENS = (2048, 4096, 8192)
"""Of the corpus: the last two on the smallest subject only, for what a target's text costs."""
TARGETS = 4
PROJECTED_TOKENS = 10_000_000
ACCELERATORS = (1, 8, 64)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The text, and how much of it."""
    shared_options.add_corpus(parser)
    parser.add_argument(
        "--sizes", type=int, metavar="N", help="measure the N smallest subjects only (at least 3)"
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=PROJECTED_TOKENS,
        metavar="N",
        help=f"tokens of the corpus in the projection (default: {PROJECTED_TOKENS:,})",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, fit, check each size against the others, and project."""
    import torch

    from ...agent.runlog.progress import progress
    from ...tools.corpus import read_corpus
    from ...tools.subject import load_subject
    from ..scale.measure import measure_sizes
    from ..scale.sizes import SIZES

    torch.set_num_threads(1)
    sizes = SIZES[: max(args.sizes or len(SIZES), 3)]
    plan = [*((size, TOKENS[0]) for size in sizes), *((sizes[0], n) for n in TOKENS[1:])]
    with (
        progress(quiet=args.quiet) as reporter,
        tempfile.TemporaryDirectory(prefix="hubel-scale-") as folder,
    ):
        tokenizer = load_subject("smollm2-135m", progress=reporter.say).tokenizer
        corpus = read_corpus(args.corpus)
        costs: list[SizeCost] = []
        for cost in measure_sizes(plan, tokenizer, corpus, TARGETS, Path(folder), reporter):
            costs.append(cost)
            if args.json:
                output.json_line({"part": "measured", **cost.to_json()})
    report(costs, args.tokens, as_json=args.json)
    return DONE


def report(costs: Sequence[SizeCost], tokens: int, *, as_json: bool) -> None:
    """Print what was measured, the checks and the projection.

    Args:
        tokens: of the projected index.
    """
    from ..scale.cost_model import fit, leave_one_out
    from ..scale.projection import SUBJECTS, project

    indexes, targets = [cost.index_cost for cost in costs], [cost.target_cost for cost in costs]
    index, target = fit(indexes), fit(targets)
    checks = {"index": leave_one_out(indexes), "target": leave_one_out(targets)}
    projections = [
        project(subject, n, tokens, index, target) for subject in SUBJECTS for n in ACCELERATORS
    ]
    if as_json:
        for what, left_out in checks.items():
            for each in left_out:
                output.json_line(
                    {"part": "left out", "what": what, **each._asdict(), "error": each.error}
                )
        for each in projections:
            hours = {"index_hours": each.index_hours, "bottleneck": each.bottleneck}
            output.json_line({"part": "projected", "tokens": tokens, **each._asdict(), **hours})
        return
    columns = ("size", "weights", "units", "tokens", "ms a token", "forward", "s a target", "bytes")
    cells = [
        (
            cost.size.name,
            f"{cost.size.weights / 1e6:.0f} M",
            f"{cost.size.units:,}",
            f"{cost.tokens:,}",
            f"{1e3 * cost.index_cost.seconds:.3f}",
            f"{cost.forward_share:.0%}",
            f"{cost.target_cost.seconds:.2f}",
            f"{cost.index_bytes:,}",
        )
        for cost in costs
    ]
    output.table(columns, cells, right=columns[1:])
    for what, left_out in checks.items():
        _show_left_out(what, left_out)
    _show_projections(projections, tokens)


def _show_left_out(what: str, left_out: Sequence[LeftOut]) -> None:
    columns = (f"{what}, left out of the fit", "measured s", "predicted s", "error")
    cells = [
        (each.name, f"{each.measured:.3g}", f"{each.predicted:.3g}", f"{each.error:+.0%}")
        for each in left_out
    ]
    output.table(columns, cells, right=columns[1:])


def _show_projections(projections: Sequence[Projection], tokens: int) -> None:
    from ..scale.projection import ASSUMED

    columns = ("subject", "accelerators", "index h", "all neurons h", "driver h", "slowest part")
    cells = [
        (
            each.subject,
            each.accelerators,
            f"{each.index_hours:.2f}",
            f"{each.targets:.1f}",
            f"{each.driver:.1f}",
            each.bottleneck,
        )
        for each in projections
    ]
    output.table(columns, cells, right=columns[1:5])
    output.line(
        f"projected for {tokens:,} tokens, not measured: each accelerator {ASSUMED.name}, assumed "
        f"{ASSUMED.flops / 1e12:.0f} TFLOP/s, {ASSUMED.link / 1e9:.0f} GB/s to the host, "
        f"{ASSUMED.cores} cores"
    )
