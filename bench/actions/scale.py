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
    from ...agent.llm.conversation import TokenUsage
    from ..scale.measure import SizeCost
    from ..scale.projection import Prices

TOKENS = (4096, 8192, 16_384, 65_536)
"""Of the corpus: all but the first on the smallest subject only, for what a longer text costs. In shorter
ones every token is in the sample for quantiles, whose cost does not grow with the text."""
CONVERSATIONS = 6
"""Targets that a program explains in place of a language model, for their tokens."""
PROJECTED_TOKENS = 10_000_000
ACCELERATORS = (1, 8, 64)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The text, how much of it, and what machines cost."""
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
    for name, what in (("gpu", "an accelerator with its host"), ("core", "a core of the host")):
        parser.add_argument(
            f"--{name}-hour-usd",
            type=float,
            default=0.0,
            metavar="USD",
            help=f"what {what} costs an hour, for dollars in the projection (default: no price)",
        )


def run(args: argparse.Namespace) -> int:
    """Measure, fit, check each size against the others, and project."""
    import torch

    from ...agent.runlog.progress import progress
    from ...tools.corpus import read_corpus
    from ...tools.subject import load_subject
    from ..scale.conversation import count_tokens
    from ..scale.measure import measure_sizes
    from ..scale.projection import Prices
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
        for cost in measure_sizes(plan, tokenizer, corpus, Path(folder), reporter):
            costs.append(cost)
            if args.json:
                output.json_line({"part": "measured", **cost.to_json()})
        reporter.say("explaining some targets with a program in place of a language model")
        usage = count_tokens(Path(folder) / "conversations", costs[-1], CONVERSATIONS)
    prices = Prices(args.gpu_hour_usd, args.core_hour_usd)
    report(costs, usage, args.tokens, prices, as_json=args.json)
    return DONE


def report(
    costs: Sequence[SizeCost],
    usage: dict[str, TokenUsage],
    tokens: int,
    prices: Prices,
    *,
    as_json: bool,
) -> None:
    """Print what was measured, the checks and the projection.

    Args:
        usage: tokens of a target by role.
        tokens: of the projected index.
    """
    from ..scale import tables
    from ..scale.conversation import target_prices
    from ..scale.cost_model import fit, leave_one_out
    from ..scale.projection import SUBJECTS, project, target_cost

    indexes, targets = [cost.index_cost for cost in costs], [cost.target_cost for cost in costs]
    index, target = fit(indexes), fit(targets)
    checks = {"index": leave_one_out(indexes), "target": leave_one_out(targets)}
    of_target = target_cost(target, index, checks["target"])
    projections = [
        project(subject, n, tokens, index, of_target) for subject in SUBJECTS for n in ACCELERATORS
    ]
    dollars = target_prices(usage)
    if not as_json:
        tables.show_costs(costs)
        for what, left_out in checks.items():
            tables.show_left_out(what, left_out)
        tables.show_bytes(file for cost in costs for file in cost.files)
        tables.show_conversations(usage, dollars)
        tables.show_projections(projections, tokens, of_target, prices)
        return
    for what, left_out in checks.items():
        for each in left_out:
            row = {"what": what, **each._asdict(), "error": each.error}
            output.json_line({"part": "left out", **row})
    for what, model in (("index", index), ("target", target)):
        row = {"what": what, "coefficients": model.coefficients.tolist()}
        output.json_line({"part": "fit", **row})
    for role, of_role in usage.items():
        output.json_line({"part": "tokens", "role": role, **vars(of_role)})
    for price in dollars:
        output.json_line({"part": "price", **price._asdict()})
    for each in projections:
        row = {"tokens": tokens, "target": of_target.origin, **each._asdict()}
        row |= {"index_hours": each.index_hours, "bottleneck": each.bottleneck}
        usd = each.usd(prices) if any(prices) else None
        output.json_line({"part": "projected", **row, "hours": each.hours, "usd": usd})
