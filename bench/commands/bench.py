"""`hubel bench`: runs with a known right answer."""

from __future__ import annotations

import argparse

from ...agent.cli import options, output
from ...agent.runlog.layout import CONFIG
from ...tools.errors import UsageError

NAME = "bench"
HELP = "runs with a known right answer: planted, null, circuits; speed, review, soak"
INTERRUPTED = "stopped; nothing is lost: the same command goes on"

_BELONGS = {
    "suite": "planted",
    "layers": "speed",
    "scorers": "planted",
    "method": "circuits",
    "difficulty": "circuits",
    "program": "circuits",
    "trained": "circuits",
    "planted": "circuits",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bench, on what."""
    parser.add_argument(
        "bench",
        choices=("planted", "null", "circuits", "speed", "review", "soak"),
        help="planted: are explanations right? null: how often is nothing explained? circuits: are known circuits "
        "found? speed: ratios to the naive way; review: the review page on a made run of many targets; "
        "soak: does a run survive kills, wrong answers and slow servers?",
    )
    parser.add_argument("--subject", default="smollm2-135m")
    parser.add_argument("--corpus", default="lee-news")
    parser.add_argument("--explainer", default="compositional")
    parser.add_argument(
        "--suite", metavar="FILE", help="planted: a suite of units (default: the project's own)"
    )
    parser.add_argument(
        "--scorers",
        metavar="S,S",
        help="planted: which scorers can be trusted? names, or all; compared on its units",
    )
    parser.add_argument(
        "--judge",
        default="predicate",
        metavar="J",
        help="planted: who judges for --scorers (default: predicate)",
    )
    parser.add_argument(
        "--base-url",
        default="",
        metavar="URL",
        help="the server of --judge or --explainer openai:MODEL",
    )
    parser.add_argument(
        "--targets",
        type=int,
        metavar="N",
        help="null: targets (default: 200); planted: so many units (default: all); review: targets (default: 100,000)",
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help="speed: only this, beside nnsight, TransformerLens and captum (hubel[oracles])",
    )
    parser.add_argument(
        "--layers",
        metavar="L,L|all",
        help="speed --peers: layers whose heads are patched (default: three of them)",
    )
    parser.add_argument(
        "--method", metavar="M,M", help="circuits: ways to score edges (default: all)"
    )
    parser.add_argument(
        "--difficulty", metavar="D,D", help="circuits: easy, medium, hard (default: all)"
    )
    parser.add_argument(
        "--program", metavar="P,P", help="circuits: compiled programs (default: all)"
    )
    parser.add_argument(
        "--trained",
        action="store_true",
        help="circuits: tiny models trained in seconds in place of compiled ones",
    )
    parser.add_argument(
        "--planted",
        action="store_true",
        help="circuits: paths planted into the subject, which is loaded for that alone",
    )
    parser.add_argument(
        "--name", help="the run's name (default: bench-null-N, bench-planted-SUITE)"
    )
    parser.add_argument(
        "--kills", type=int, default=500, metavar="N", help="soak: runs to kill (default: 500)"
    )
    parser.add_argument(
        "--malformed",
        type=int,
        default=10_000,
        metavar="N",
        help="soak: malformed answers to give (default: 10000)",
    )
    parser.add_argument(
        "--jobs", type=int, default=2, help="soak: runs killed at the same time (default: 2)"
    )
    parser.add_argument("--seed", type=int, default=0)
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Run the bench and print its table."""
    for option, bench in _BELONGS.items():
        if getattr(args, option) and args.bench != bench:
            raise UsageError(
                f"--{option} belongs to `hubel bench {bench}`, not to `hubel bench {args.bench}`"
            )
    if args.bench == "planted":
        from ..actions.planted import run_planted

        return run_planted(args)
    if args.bench == "soak":
        from ..actions.soak import run_soak

        return run_soak(args)
    if args.bench == "circuits":
        from ..actions.circuits import run_circuits

        return run_circuits(args)
    if args.bench == "review":
        from ..actions.review_speed import run_review_speed

        return run_review_speed(args)
    args.targets = 200 if args.targets is None else args.targets
    if args.targets < 2:
        raise UsageError(f"--targets {args.targets}: a bench of nulls needs at least 2")
    if args.peers and args.bench != "speed":
        raise UsageError(
            f"--peers belongs to `hubel bench speed`, not to `hubel bench {args.bench}`"
        )
    if args.bench == "speed":
        if args.peers:
            from ..actions.other_libraries import run_peers

            return run_peers(args)
        return _run_speed(args)
    return _run_null(args)


def _run_speed(args: argparse.Namespace) -> int:
    import torch

    from ...tools.subject import load_subject
    from ..circuits_speed import circuits_speed
    from ..speed import early_stop_speed, index_speed, statistics_speed

    torch.set_num_threads(1)
    subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
    found = [*statistics_speed(), early_stop_speed(subject), *circuits_speed(subject)]
    index = index_speed(subject, args.corpus)
    if args.json:
        for comparison in found:
            output.json_line(comparison._asdict())
        output.json_line({"index": index})
        return 0
    columns = ("what", "CPU s", "naive CPU s", "times faster", "the naive way")
    cells = [
        (c.name, f"{c.ours:.3f}", f"{c.naive:.3f}", f"{c.ratio:.1f}", c.naive_way) for c in found
    ]
    output.table(columns, cells, right=columns[1:4])
    output.line(
        f"index: {index['tokens_a_second']:,.0f} tokens a second beside {index['forward_tokens_a_second']:,.0f} of the "
        f"bare forward pass ({index['forward_share']:.0%}), peak {index['peak_rss_mb']:,.0f} MB"
    )
    return 0


def _run_null(args: argparse.Namespace) -> int:
    from ...agent.run.default_index import default_index
    from ...agent.run.execute import execute_run, make_run, resolve
    from ...agent.run.preflight import check_model
    from ...agent.runlog.config import RunConfig
    from ...agent.runlog.progress import progress
    from ...agent.runlog.views import rows
    from ...tools.subject import load_subject
    from ..null import bench_rows, null_config, real_minus_control, summary

    folder = args.runs / (args.name or f"bench-null-{args.targets}")
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
        if not (folder / CONFIG).exists():
            index = str(default_index(subject, args.corpus, reporter))
            asked = {"explainer": args.explainer, "device": args.device, "dtype": args.dtype}
            asked |= {"base_url": args.base_url}
            config = null_config(index, subject.shape, args.targets, seed=args.seed, **asked)
            check_model(config)
            make_run(folder, resolve(config))
        result = execute_run(folder, reporter=reporter, subject=subject)
    found = bench_rows(RunConfig.load(folder), rows(folder))
    lines = summary(found)
    if args.json:
        for row in found:
            output.json_line(vars(row))
        output.json_line(
            {"summary": {"kinds": lines, "real_minus_control": real_minus_control(found)}}
        )
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
