"""`hubel eval`: score a run's explanations, or a table of them, again with any scorers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from ...runlog.layout import PIECES
from ...runlog.progress import progress
from .. import options, output
from ..chosen_engine import chosen_engine
from ..confirm_cost import add_yes, confirm_cost
from ..exit_status import BUDGET, DONE, SOME_FAILED
from ..opinion_output import opinion_summaries, show_opinion, show_unscored_words
from ..output import two_decimals
from ..targets_table import subject_line

if TYPE_CHECKING:
    from ....evals.score import Score
    from ....evals.statistics.bootstrap import Interval
    from ...rescoring.plan import Evaluation, RescoringPlan
    from ...rescoring.summary import ScoreSummary, SourceComparison

NAME = "eval"
HELP = "score a run's explanations, or a table of them, with any scorers"
INTERRUPTED = "stopped; what was scored is in the log, and the same command continues"

SHOWN_REASONS = 5
"""Different reasons of failed or skipped scores that are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to score, with which scorers, on which text."""
    parser.add_argument(
        "source",
        nargs="+",
        metavar="RUN | TABLE | SET",
        help="a run, a table (.csv, .tsv, .jsonl, .json, .parquet) with the columns target and "
        "text, and optionally predicate, or an imported set (`hubel import`)",
    )
    parser.add_argument(
        "--scorers",
        metavar="S,S",
        help="names of scorers, or all (default: simulation,detection,fuzzing)",
    )
    parser.add_argument(
        "--judge",
        default="predicate",
        metavar="J",
        help="predicate (default), openai:MODEL, anthropic:MODEL, ...",
    )
    parser.add_argument(
        "--base-url",
        default="",
        metavar="URL",
        help="server of judge and simulator (default: the provider's own)",
    )
    _add_text(parser)
    options.add_sentence_models(parser)
    options.add_budget(
        parser, "this command; when repeated, it continues, and journaled answers are free"
    )
    add_yes(parser)
    parser.add_argument(
        "--retry-failed", action="store_true", help="score again what failed; keep all other scores"
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        default=8,
        metavar="N",
        help="targets scored at the same time (default: 8)",
    )
    parser.add_argument(
        "--embedding",
        choices=("words", "subject"),
        default="words",
        help="how the scorers embedding and purity compare texts: by shared words (default), or by "
        "the subject's word vectors",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page with plots")
    options.add_device(parser)
    options.add_engine(parser)


def _add_text(parser: argparse.ArgumentParser) -> None:
    """The text to score on, if not a run's own holdout."""
    parser.add_argument(
        "--corpus",
        default="",
        metavar="C",
        help=f"score on another corpus, to see whether explanations transfer: {options.CORPORA}",
    )
    options.add_text_column(parser)
    parser.add_argument("--run", metavar="RUN", help="score a table on this run's text")
    parser.add_argument(
        "--index",
        type=Path,
        metavar="I",
        help="score a table or an imported set on this index's held-out text; or, with --corpus, an index of that "
        "corpus whose activation store is read instead of running the subject (default: the one in "
        "the cache, if there is one)",
    )
    parser.add_argument(
        "--contexts",
        type=int,
        default=500,
        metavar="N",
        help="contexts of --corpus to score on (default: 500)",
    )


def run(args: argparse.Namespace) -> int:
    """Score all sources, then print JSON lines or tables, and write a page on request."""
    from ...llm.budget import Budget
    from ...llm.meter import Checks
    from ...rescoring.estimate import estimated_usd
    from ...rescoring.evaluate import check_plan, evaluate
    from ...rescoring.plan import json_rows
    from ...rescoring.sources import open_source

    choice = options.engine(args)
    corpus_index, table_index = _indexes(args)
    plan = replace(_plan(args), corpus_index=corpus_index)
    checks = Checks(Budget(plan.budget))
    check_plan(plan, checks)
    sources = [
        open_source(name, args.runs, run=args.run, index=table_index) for name in args.source
    ]
    n_targets = sum(len(source.explanations) for source in sources)
    confirm_cost(n_targets, estimated_usd(plan, n_targets), plan.budget, args)
    folders = [source.folder for source in sources]
    with (
        progress(quiet=args.quiet) as reporter,
        chosen_engine(choice, folders[0] / PIECES, reporter, folders) as engine,
    ):
        evaluations = [
            evaluate(source, plan, reporter=reporter, checks=checks, engine=engine)
            for source in sources
        ]
    if args.json:
        for row in json_rows(evaluations):
            output.json_line(row)
        for summary in opinion_summaries(evaluations):
            output.json_line(summary)
    else:
        _show(evaluations)
    if args.html:
        from ...rescoring.page import write_page

        output.note(f"{write_page(evaluations, args.html)}")
    return _status(evaluations)


def _indexes(args: argparse.Namespace) -> tuple[Path | None, Path | None]:
    """What --index names: an index of another corpus, or that on whose text a table is scored.

    Raises:
        UsageError: neither.
    """
    from ...rescoring.sources import is_scored_elsewhere

    tables = any(is_scored_elsewhere(name, args.runs) for name in args.source)
    if args.index is None or (tables and not args.run):
        return None, args.index
    if args.corpus:
        return args.index, None
    if tables:
        return None, args.index  # with --run: refused where the table is opened
    raise UsageError(
        "--index says on which text a table is scored, or where the activations on --corpus are; a "
        "run is scored on its own text: leave it out, or add --corpus"
    )


def _status(evaluations: Sequence[Evaluation]) -> int:
    """The exit status; writes to standard error what is missing and how to get it."""
    failed = sum(evaluation.failed for evaluation in evaluations)
    if failed:
        scores = output.count(failed, "score")
        output.note(f"hubel: {scores} failed; the same command with --retry-failed retries them")
    reached = next((evaluation.budget for evaluation in evaluations if evaluation.budget), "")
    if reached:
        rows = [row for evaluation in evaluations for row in evaluation.rows]
        pending = sum(row.status == "pending" for row in rows)
        targets = output.count(pending, "target")
        output.note(f"hubel: {reached}; {targets} not fully scored: the same command continues")
        return BUDGET
    return SOME_FAILED if failed else DONE


def _plan(args: argparse.Namespace) -> RescoringPlan:
    """The plan that the options describe; UsageError for a number that is too small."""
    from ....evals.scorers.registry import scorer_names
    from ...rescoring.plan import DEFAULT_SCORERS, RescoringPlan

    if args.contexts < 1:
        raise UsageError(f"--contexts {args.contexts}: give at least 1")
    if args.concurrency < 1:
        raise UsageError(f"--concurrency {args.concurrency}: give at least 1")
    scorers = tuple(part.strip() for part in (args.scorers or "").split(",") if part.strip())
    return RescoringPlan(
        scorers=tuple(scorer_names()) if scorers == ("all",) else scorers or DEFAULT_SCORERS,
        judge=options.model(args, "judge", args.base_url),
        simulator=options.model(args, "simulator", args.simulator_base_url or args.base_url),
        batch=args.batch,
        logprobs=args.logprobs,
        patience=args.patience,
        budget=options.budgets(args),
        corpus=options.corpus(args),
        retry_failed=args.retry_failed,
        embedding=args.embedding,
        contexts=args.contexts,
        concurrency=args.concurrency,
        device=args.device,
        dtype=args.dtype,
    )


def _show(evaluations: Sequence[Evaluation]) -> None:
    from ...rescoring.summary import compare_sources, score_summaries

    for evaluation in evaluations:
        show_unscored_words(evaluation)
        _show_targets(evaluation)
        _show_summaries(score_summaries(evaluation), evaluation)
        _show_transfer(evaluation)
        if line := subject_line(evaluation.source.subject):
            output.line(line)
    if comparisons := compare_sources(evaluations):
        _show_comparisons(comparisons)
    for evaluation in evaluations:
        show_opinion(evaluation)


def _show_targets(evaluation: Evaluation) -> None:
    """A row per target with its main score by each scorer."""
    from ...rescoring.summary import find_score, score_kinds

    # If a scorer gives several values, show its main one and the expected value (".ev") only.
    kinds = [
        kind
        for kind in score_kinds([evaluation])
        if "." not in kind.scorer or kind.scorer.endswith(".ev")
    ]
    heads = [
        "simulation (mix)" if kind == ("simulation", "top_and_random") else kind.scorer
        for kind in kinds
    ]
    cells = []
    for row in evaluation.rows:
        split = "holdout" if "holdout" in row.outcomes or not row.outcomes else "select"
        scores = (_score(find_score(row, *kind, split)) for kind in kinds)
        missing = "pending" if row.status == "pending" else "failed"
        error = f"{missing}: {row.error}" if row.error else None
        mark = "after viewing" if row.after_viewing else None
        explanation = row.explanation
        cells.append((explanation.target, *scores, mark, explanation.sentence or error))
    columns = ("target", *heads, "", "explanation")
    output.table(columns, cells, title=evaluation.source.name, right=heads)


def _show_summaries(summaries: Sequence[ScoreSummary], evaluation: Evaluation) -> None:
    """Means over the targets, what the judge cost, and why scores are missing."""
    columns = ("scorer", "text", "mean", "95 % interval", "chance", "select - holdout", "coverage")
    cells = [
        (
            row.scorer,
            row.text,
            _estimate(row.mean),
            _interval(row.mean),
            two_decimals(row.chance),
            _estimate(row.drop),
            str(row.coverage),
        )
        for row in summaries
    ]
    output.table(columns, cells, right=columns[2:6])
    calls = sum(row.cost.calls for row in evaluation.rows)
    tokens = sum(row.cost.input_tokens for row in evaluation.rows)
    output.line(f"judge {evaluation.plan.judge.name}: {calls} calls, {tokens} prompt tokens")
    reasons: set[str] = set()
    for row in evaluation.rows:
        reasons.update(row.failures.values(), row.skipped.values())
    for reason in sorted(reasons)[:SHOWN_REASONS]:
        output.line(f"  {reason}")


def _show_transfer(evaluation: Evaluation) -> None:
    """Mean r by likeness of another corpus to explore, and by kind of text."""
    from ...rescoring.transfer import mean_of_parts

    parts = mean_of_parts([row.transfer for row in evaluation.rows])
    if not parts:
        return
    columns = (
        f"r on {evaluation.plan.corpus}, by",
        "",
        "bits a token",
        "mean r",
        "95 % interval",
        "documents",
        "targets",
    )
    cells = [
        (
            "likeness to explore" if row.part.by == "likeness" else "kind of text",
            row.part.name,
            f"{row.part.bits:.1f}",
            _estimate(row.mean),
            _interval(row.mean),
            row.part.documents,
            row.targets,
        )
        for row in parts
    ]
    output.table(columns, cells, right=columns[2:])


def _show_comparisons(comparisons: Sequence[SourceComparison]) -> None:
    """Paired differences between every two sources."""
    columns = ("compared", "scorer", "text", "difference", "95 % interval", "p", "targets")
    cells = [
        (
            f"{row.a} - {row.b}",
            row.scorer,
            row.text,
            _estimate(row.paired.difference),
            _interval(row.paired.difference),
            f"{row.paired.p:.2g}",
            row.paired.pairs,
        )
        for row in comparisons
    ]
    output.table(columns, cells, right=columns[3:])


def _score(score: Score | None) -> str | None:
    if score is None:
        return None
    interval = "" if score.low is None else f" [{score.low:.2f}, {score.high:.2f}]"
    return f"{score.value:.2f}{interval}"


def _estimate(interval: Interval | None) -> str | None:
    return None if interval is None else f"{interval.value:.3f}"


def _interval(interval: Interval | None) -> str | None:
    if interval is None or interval.low is None:
        return None
    return f"{interval.low:.3f} to {interval.high:.3f}"
