"""`hubel bench null`: how often does an explainer explain what has no meaning?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...agent.cli import options, output
from ...agent.cli.chosen_engine import chosen_engine
from ...agent.cli.exit_status import DONE, SOME_FAILED
from ...agent.runlog.layout import CONFIG, PIECES
from ...tools.errors import UsageError
from . import shared_options

if TYPE_CHECKING:
    from ..null import KindSummary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many null targets, of which subject, for which explainer."""
    shared_options.add_subject(parser)
    shared_options.add_corpus(parser)
    shared_options.add_explainer(parser)
    parser.add_argument(
        "--base-url", default="", metavar="URL", help="server of --explainer openai:MODEL"
    )
    parser.add_argument(
        "--targets", type=int, default=200, metavar="N", help="null targets (default: 200)"
    )
    shared_options.add_name(parser, "bench-null-N")
    shared_options.add_seed(parser)
    options.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Make or continue the run, then print how many targets of each kind were kept."""
    from ...agent.run.default_index import default_index
    from ...agent.run.execute import execute_run, make_run, resolve
    from ...agent.run.preflight import check_model
    from ...agent.runlog.config import RunConfig
    from ...agent.runlog.progress import progress
    from ...agent.runlog.views import target_rows
    from ...tools.subject import load_subject
    from ..null import bench_rows, null_config, real_minus_control, summary

    if args.targets < 2:
        raise UsageError(f"--targets {args.targets}: a bench of nulls needs at least 2")
    choice = options.engine(args)
    folder = args.runs / (args.name or f"bench-null-{args.targets}")
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
        if not (folder / CONFIG).exists():
            config = null_config(
                str(default_index(subject, args.corpus, reporter)),
                subject.shape,
                args.targets,
                seed=args.seed,
                explainer=args.explainer,
                device=args.device,
                dtype=args.dtype,
                base_url=args.base_url,
            )
            check_model(config)
            make_run(folder, resolve(config))
        with chosen_engine(choice, folder / PIECES, reporter, [folder]) as engine:
            result = execute_run(folder, reporter=reporter, subject=subject, engine=engine)
    targets = bench_rows(RunConfig.load(folder), target_rows(folder))
    kinds, differences = summary(targets), real_minus_control(targets)
    if args.json:
        for row in targets:
            output.json_line(vars(row))
        output.json_line({"summary": {"kinds": kinds, "real_minus_control": differences}})
    else:
        _show(kinds, differences)
    return SOME_FAILED if result.failed else DONE


def _show(kinds: Sequence[KindSummary], differences: Mapping[int, float | None]) -> None:
    cells = [
        (
            kind["kind"],
            kind["targets"],
            kind["kept"],
            f"{kind['rate']:.3f}",
            f"{kind['low']:.3f} to {kind['high']:.3f}",
            None if kind["mean_r"] is None else f"{kind['mean_r']:.3f}",
        )
        for kind in kinds
    ]
    columns = ("kind", "targets", "kept", "rate", "95 % interval", "mean held-out r")
    output.table(columns, cells, right=columns[1:])
    for layer, difference in differences.items():
        number = "-" if difference is None else f"{difference:+.3f}"
        output.line(f"layer {layer}: real minus control {number}")
