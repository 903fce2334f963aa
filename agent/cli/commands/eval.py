"""`hubel eval`: a run's explanations, or a table of them, scored again by any scorers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....tools.files.untrusted_text import escape_control
from ...runlog.progress import progress
from .. import options, output
from ..exit_status import BUDGET, DONE, SOME_FAILED

if TYPE_CHECKING:
    from ...rescoring.plan import Evaluation, RescoringPlan

NAME = "eval"
HELP = "score a run's explanations, or a table of them, with any scorers"
INTERRUPTED = "stopped; what was scored is in the log, and the same command goes on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to score, by what, on what."""
    add = parser.add_argument
    add(
        "source",
        nargs="+",
        metavar="RUN | TABLE",
        help="a run, or a CSV, JSONL or Parquet file with target and text",
    )
    add("--scorers", metavar="S,S", help="simulation, detection, fuzzing (default), others, or all")
    add(
        "--judge",
        default="predicate",
        metavar="J",
        help="predicate (default), openai:MODEL, anthropic:MODEL, ...",
    )
    add(
        "--base-url",
        default="",
        metavar="URL",
        help="the server of judge and simulator, if not the provider's own",
    )
    options.add_readers(parser)
    options.add_budget(
        parser, "this command; given again, it goes on, and answers that are there are free"
    )
    add("--corpus", default="", metavar="OTHER", help="score on another corpus: does it transfer?")
    add("--run", metavar="RUN", help="score a table on this run's text")
    add("--index", type=Path, metavar="I", help="score a table on this index's held-out text")
    add(
        "--retry-failed",
        action="store_true",
        help="keep what is scored, and score again what failed",
    )
    add(
        "--contexts",
        type=int,
        default=500,
        metavar="N",
        help="contexts of another corpus (default: 500)",
    )
    add(
        "--concurrency",
        type=int,
        default=8,
        metavar="N",
        help="targets judged side by side (default: 8)",
    )
    add(
        "--embedding",
        choices=("words", "subject"),
        default="words",
        help="what embedding and purity compare texts by: words in common, or the subject's word vectors",
    )
    add("--html", type=Path, metavar="FILE", help="write a page with plots")
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Score, and show as JSON lines, as tables, and as a page if asked for."""
    from ...llm.budget import Budget
    from ...rescoring.evaluate import check_plan, evaluate
    from ...rescoring.plan import json_rows
    from ...rescoring.sources import open_source

    plan = _plan(args)
    check_plan(plan)
    budget = Budget(plan.budget)
    sources = [open_source(what, args.runs, run=args.run, index=args.index) for what in args.source]
    with progress(quiet=args.quiet) as reporter:
        found = [evaluate(source, plan, reporter=reporter, budget=budget) for source in sources]
    if args.json:
        for row in json_rows(found):
            output.json_line(row)
    else:
        _show(found)
    if args.html:
        from ...rescoring.page import write_page

        sys.stderr.write(f"{write_page(found, args.html)}\n")
    return _status(found)


def _status(found: list[Evaluation]) -> int:
    """Say on standard error what is missing, and how to get it."""
    failed = sum(evaluation.failed for evaluation in found)
    if failed:
        sys.stderr.write(
            f"hubel: {failed} scores failed; the same command with --retry-failed asks again\n"
        )
    if reached := next((evaluation.budget for evaluation in found if evaluation.budget), ""):
        pending = sum(row.status == "pending" for evaluation in found for row in evaluation.rows)
        sys.stderr.write(
            f"hubel: {reached}; {pending} targets are not scored whole: the same command goes on\n"
        )
        return BUDGET
    return SOME_FAILED if failed else DONE


def _plan(args: argparse.Namespace) -> RescoringPlan:
    from ....evals.scorers.registry import scorer_names
    from ....tools.errors import UsageError
    from ...rescoring.plan import DEFAULT_SCORERS, RescoringPlan

    if args.contexts < 1:
        raise UsageError(f"--contexts {args.contexts}: give at least 1")
    if args.concurrency < 1:
        raise UsageError(f"--concurrency {args.concurrency}: give at least 1")
    asked = tuple(part.strip() for part in (args.scorers or "").split(",") if part.strip())
    return RescoringPlan(
        scorers=tuple(scorer_names()) if asked == ("all",) else asked or DEFAULT_SCORERS,
        judge=options.model(args, "judge", args.base_url),
        simulator=options.model(args, "simulator", args.simulator_base_url or args.base_url),
        logprobs=args.logprobs,
        patience=args.patience,
        budget=options.budgets(args),
        corpus=args.corpus,
        retry_failed=args.retry_failed,
        embedding=args.embedding,
        contexts=args.contexts,
        concurrency=args.concurrency,
        device=args.device,
        dtype=args.dtype,
    )


def _show(found: list[Evaluation]) -> None:
    from ...rescoring.summary import compare_sources, score_summaries

    for evaluation in found:
        _show_targets(evaluation)
        _show_figures(score_summaries(evaluation), evaluation)
    compared = compare_sources(found)
    if compared:
        _show_comparisons(compared)


def _show_targets(evaluation: Evaluation) -> None:
    from ...rescoring.summary import find_score, score_kinds

    columns = [
        kind for kind in score_kinds([evaluation]) if "." not in kind[0] or kind[0].endswith(".ev")
    ]
    heads = [
        scorer if text != "top_and_random" or scorer != "simulation" else "simulation (mix)"
        for scorer, text in columns
    ]
    rows = []
    for row in evaluation.rows:
        split = "holdout" if "holdout" in row.outcomes or not row.outcomes else "select"
        scores = [find_score(row, *kind, split) for kind in columns]
        missing = "pending" if row.status == "pending" else "failed"
        what = row.explanation.sentence or (f"{missing}: {row.error}" if row.error else None)
        mark = "after viewing" if row.after_viewing else None
        rows.append((row.explanation.target, *(_value(score) for score in scores), mark, what))
    output.table(
        ("target", *heads, "", "explanation"), rows, title=evaluation.source.name, right=heads
    )


def _show_figures(found: list[Any], evaluation: Evaluation) -> None:
    columns = ("scorer", "text", "mean", "95 % interval", "chance", "select - holdout", "coverage")
    rows = [
        (
            f.scorer,
            f.text,
            _number(f.mean),
            _span(f.mean),
            _plain(f.chance),
            _number(f.drop),
            str(f.coverage),
        )
        for f in found
    ]
    calls = sum(row.cost.calls for row in evaluation.rows)
    tokens = sum(row.cost.input_tokens for row in evaluation.rows)
    output.table(columns, rows, right=columns[2:6])
    output.line(f"judge {evaluation.plan.judge.name}: {calls} calls, {tokens} prompt tokens")
    reasons = {
        why for row in evaluation.rows for why in (*row.failures.values(), *row.skipped.values())
    }
    for why in sorted(reasons)[:5]:
        output.line(f"  {escape_control(why)}")


def _show_comparisons(compared: list[Any]) -> None:
    rows = [
        (
            f"{c.a} - {c.b}",
            c.scorer,
            c.text,
            _number(c.paired.difference),
            _span(c.paired.difference),
            f"{c.paired.p:.2g}",
            c.paired.pairs,
        )
        for c in compared
    ]
    columns = ("compared", "scorer", "text", "difference", "95 % interval", "p", "targets")
    output.table(columns, rows, right=columns[3:])


def _value(score: Any) -> str | None:
    return (
        None
        if score is None
        else f"{score.value:.2f}"
        + ("" if score.low is None else f" [{score.low:.2f}, {score.high:.2f}]")
    )


def _number(found: Any) -> str | None:
    return None if found is None else f"{found.value:.3f}"


def _span(found: Any) -> str | None:
    return None if found is None or found.low is None else f"{found.low:.3f} to {found.high:.3f}"


def _plain(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"
