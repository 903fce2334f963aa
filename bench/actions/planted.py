"""`hubel bench planted`: plant a suite, explain its units, and say which explanations are right."""

from __future__ import annotations

import argparse
import re
from typing import Any

from ...agent.cli import output
from ...tools.errors import UsageError

SCORER_COLUMNS = (
    "scorer",
    "AUROC, other",
    "AUROC, near",
    "truth",
    "true",
    "other",
    "near",
    "units",
    "calls",
    "prompt tokens",
    "CPU s",
)
"""Power to tell the true explanation from another unit's and from the most similar unit's; rank
correlation with r_truth; mean scores; coverage; cost of all scores, and processor time of one."""


def run_planted(args: argparse.Namespace) -> int:
    """Run the bench from wherever it stands and print its lines."""
    from ...agent.run.execute import execute_run
    from ...agent.runlog.progress import progress
    from ...agent.runlog.run_subject import planted
    from ...tools.subject import load_subject, read_suite
    from ..planted import PROJECT_SUITE, chosen, evaluate, make_planted_run

    suite = read_suite(args.suite or PROJECT_SUITE)
    if args.targets is not None and args.targets < 1:
        raise UsageError(
            f"--targets {args.targets}: give at least 1, or leave it out for the whole suite"
        )
    units = chosen(suite, args.targets, args.seed)
    plan = _plan(args)
    folder = args.runs / (args.name or _name(args, suite.digest))
    settings = {
        "explainer": args.explainer,
        "seed": args.seed,
        "device": args.device,
        "dtype": args.dtype,
    }
    with progress(quiet=args.quiet) as reporter:
        subject = planted(
            load_subject(args.subject, device=args.device, dtype=args.dtype), suite, args.corpus
        )
        make_planted_run(folder, subject, units, args.corpus, reporter, **settings)
        result = execute_run(folder, reporter=reporter, subject=subject)
        bench = evaluate(folder, subject, units)
        if plan is not None:
            from ..scorers import compare_scorers

            compared = compare_scorers(folder, subject, units, bench.results, plan, reporter)
            bench.summary["scorers"] = [row.to_json() for row in compared]
    if args.json:
        for row in bench.results:
            output.json_line(row.to_json())
        output.json_line({"summary": bench.summary})
    else:
        _show(bench.results, bench.summary)
    return 4 if result.failed else 0


def _plan(args: argparse.Namespace) -> Any:
    """What `--scorers` asks for, checked before anything is loaded; None without it."""
    if not args.scorers:
        return None
    from ...agent.rescoring.evaluate import check_plan
    from ...agent.rescoring.plan import RescoringPlan
    from ...agent.runlog.model_config import ModelConfig
    from ...evals.scorers.registry import scorer_names

    asked = (
        tuple(scorer_names())
        if args.scorers == "all"
        else tuple(part.strip() for part in args.scorers.split(","))
    )
    plan = RescoringPlan(
        scorers=asked,
        judge=ModelConfig(args.judge, args.base_url),
        device=args.device,
        dtype=args.dtype,
    )
    check_plan(plan)
    return plan


def _name(args: argparse.Namespace, digest: str) -> str:
    parts = [
        "bench-planted",
        digest[:8],
        args.corpus,
        args.explainer,
        args.targets,
        args.seed or None,
    ]
    return re.sub(r"[^A-Za-z0-9-]+", "-", "-".join(str(part) for part in parts if part))


def _show(results: list[Any], summary: dict[str, Any]) -> None:
    columns = (
        "unit",
        "target",
        "verdict",
        "held-out r",
        "r truth",
        "precision",
        "recall",
        "recovered",
        "explanation",
    )
    output.table(columns, [_cells(row) for row in results], right=columns[3:7])
    output.table(
        ("family", "recovered", "decidable", "units"),
        [(name, *counts.values()) for name, counts in summary["by_family"].items()],
        right=("recovered", "decidable", "units"),
    )
    output.line(
        f"recovered {_share(summary['recovered'], summary['recovered_interval'])} of {summary['decidable']} decidable "
        f"units ({summary['undecidable']} are not decidable on this holdout); false keeps "
        f"{_share(summary['false_keep'], summary['false_keep_interval'])} of {summary['nulls']} nulls; controls kept "
        f"{summary['controls_kept']} of {summary['controls']}"
    )
    output.line(
        f"a true explanation scores higher than another unit's: AUROC {_number(summary['auroc'])}; rank correlation of "
        f"score and truth {_number(summary['calibration']['spearman'])}"
    )
    if summary["scorers"]:
        _show_scorers(summary["scorers"])


def _show_scorers(rows: list[dict[str, Any]]) -> None:
    output.table(SCORER_COLUMNS, [_scorer_cells(row) for row in rows], right=SCORER_COLUMNS[1:])


def _scorer_cells(row: dict[str, Any]) -> tuple[object, ...]:
    numbers = [_number(row[name]) for name in ("true", "other", "near")]
    covered = f"{row['coverage']['scored']} of {row['coverage']['targets']}"
    cost = (row["cost"]["calls"], row["cost"]["input_tokens"], f"{row['cpu_seconds']:.2f}")
    aurocs = (_spread(row["auroc"]), _spread(row["auroc_near"]))
    return (row["scorer"], *aurocs, _number(row["truth"]), *numbers, covered, *cost)


def _spread(found: dict[str, float] | None) -> str | None:
    if found is None:
        return None
    return f"{found['value']:.2f}" + (
        "" if found["low"] is None else f" [{found['low']:.2f}, {found['high']:.2f}]"
    )


def _cells(row: Any) -> tuple[object, ...]:
    numbers = (_number(value) for value in (row.r, row.r_truth, row.precision, row.recall))
    recovered = (
        "yes"
        if row.recovered
        else "no"
        if row.decidable
        else "not decidable"
        if row.decidable is False
        else None
    )
    return (
        row.id,
        row.target,
        "kept" if row.kept else "not kept",
        *numbers,
        recovered,
        row.explanation,
    )


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _share(value: float | None, interval: list[float] | None) -> str:
    return (
        "-"
        if value is None or interval is None
        else f"{value:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"
    )
