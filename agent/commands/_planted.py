"""`hubel bench planted`: plant a suite, explain its units, and say which explanations are right."""

from __future__ import annotations

import argparse
import re
from typing import Any

from ...tools.errors import UsageError
from .. import output


def run_planted(args: argparse.Namespace) -> int:
    """Run the bench from wherever it stands and print its lines."""
    from ...tools.subject import load_subject, read_suite
    from ..bench.planted import PROJECT_SUITE, chosen, evaluate, make_planted_run
    from ..planting import planted
    from ..progress import progress
    from ..run import work_on

    suite = read_suite(args.suite or PROJECT_SUITE)
    if args.targets is not None and args.targets < 1:
        raise UsageError(f"--targets {args.targets}: give at least 1, or leave it out for the whole suite")
    units = chosen(suite, args.targets, args.seed)
    folder = args.runs / (args.name or _name(args, suite.digest))
    settings = {"explainer": args.explainer, "seed": args.seed, "device": args.device, "dtype": args.dtype}
    with progress(quiet=args.quiet) as reporter:
        subject = planted(load_subject(args.subject, device=args.device, dtype=args.dtype), suite, args.corpus)
        make_planted_run(folder, subject, units, args.corpus, reporter, **settings)
        result = work_on(folder, reporter=reporter, subject=subject)
    bench = evaluate(folder, subject, units)
    if args.json:
        for row in bench.results:
            output.json_line(row.to_json())
        output.json_line({"summary": bench.summary})
    else:
        _show(bench.results, bench.summary)
    return 4 if result.failed else 0


def _name(args: argparse.Namespace, digest: str) -> str:
    parts = ["bench-planted", digest[:8], args.corpus, args.explainer, args.targets, args.seed or None]
    return re.sub(r"[^A-Za-z0-9-]+", "-", "-".join(str(part) for part in parts if part))


def _show(results: list[Any], summary: dict[str, Any]) -> None:
    columns = ("unit", "target", "verdict", "held-out r", "r truth", "precision", "recall", "recovered", "explanation")
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


def _cells(row: Any) -> tuple[object, ...]:
    numbers = (_number(value) for value in (row.r, row.r_truth, row.precision, row.recall))
    recovered = (
        "yes" if row.recovered else "no" if row.decidable else "not decidable" if row.decidable is False else None
    )
    return (row.id, row.target, "kept" if row.kept else "not kept", *numbers, recovered, row.explanation)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _share(value: float | None, interval: list[float] | None) -> str:
    return "-" if value is None or interval is None else f"{value:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"
