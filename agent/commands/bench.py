"""`hubel bench`: runs with a known right answer."""

from __future__ import annotations

import argparse

from ...tools.errors import UsageError
from .. import options, output

NAME = "bench"
HELP = "runs with a known right answer: null"
INTERRUPTED = "stopped; nothing is lost: the same command goes on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bench, on what."""
    parser.add_argument(
        "bench",
        choices=("null", "speed"),
        help="null: how often nothing is explained; speed: ratios against the naive way",
    )
    parser.add_argument("--subject", default="smollm2-135m")
    parser.add_argument("--corpus", default="lee-news")
    parser.add_argument("--explainer", default="compositional")
    parser.add_argument("--targets", type=int, default=200, metavar="N", help="null targets (default: 200)")
    parser.add_argument("--name", help="the run's name (default: bench-null-N)")
    parser.add_argument("--seed", type=int, default=0)
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Run the bench and print its table."""
    if args.targets < 2:
        raise UsageError(f"--targets {args.targets}: a bench of nulls needs at least 2")
    if args.bench == "speed":
        from ..bench.speed import run_speed

        return run_speed(args)
    return _run_null(args)


def _run_null(args: argparse.Namespace) -> int:
    from ...tools.subject import load_subject
    from ..bench.null import bench_rows, null_config, real_minus_control, summary
    from ..config import RunConfig
    from ..indexes import default_index
    from ..progress import progress
    from ..run import make_run, resolve, work_on
    from ..views import rows

    folder = args.runs / (args.name or f"bench-null-{args.targets}")
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
        if not (folder / "config.toml").exists():
            index = str(default_index(subject, args.corpus, reporter))
            asked = {"explainer": args.explainer, "device": args.device, "dtype": args.dtype}
            make_run(folder, resolve(null_config(index, subject.shape, args.targets, seed=args.seed, **asked)))
        result = work_on(folder, reporter=reporter, subject=subject)
    found = bench_rows(RunConfig.load(folder), rows(folder))
    lines = summary(found)
    if args.json:
        for row in found:
            output.json_line(vars(row))
        output.json_line({"summary": {"kinds": lines, "real_minus_control": real_minus_control(found)}})
    else:
        _show(lines, real_minus_control(found))
    return 4 if result.failed else 0


def _show(lines: list[dict], differences: dict[int, float | None]) -> None:
    cells = [
        (
            line["kind"],
            line["targets"],
            line["kept"],
            f"{line['rate']:.3f}",
            f"{line['low']:.3f} to {line['high']:.3f}",
            None if line["mean_r"] is None else f"{line['mean_r']:.3f}",
        )
        for line in lines
    ]
    columns = ("kind", "targets", "kept", "rate", "95 % interval", "mean held-out r")
    output.table(columns, cells, right=columns[1:])
    for layer, difference in differences.items():
        shown = "-" if difference is None else f"{difference:+.3f}"
        output.line(f"layer {layer}: real minus control {shown}")
