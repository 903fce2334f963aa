"""`hubel bench planted`: plant a suite, explain its units, and check which explanations are right."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...agent.cli import options, output
from ...agent.cli.chosen_engine import chosen_engine
from ...agent.cli.exit_status import DONE, SOME_FAILED
from ...agent.cli.output import two_decimals
from ...agent.runlog.layout import PIECES
from ...tools.errors import UsageError
from . import shared_options

if TYPE_CHECKING:
    from pathlib import Path

    from ...agent.engine import EngineChoice
    from ...agent.rescoring.plan import RescoringPlan
    from ...agent.runlog.progress import Reporter
    from ...tools.subject import PlantedSubject, SuiteUnit
    from ..planted import PlantedReport
    from ..planted_truth import PlantedResult

UNIT_COLUMNS = (
    "unit",
    "target",
    "verdict",
    "held-out r",
    "r truth",
    "precision",
    "recall",
    "recovered",
    "states it",
    "explanation",
)
LATENT_COLUMNS = ("latents of", "than those of", "by", "better")
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
correlation with r_truth; mean scores; coverage; cost of all scores, and CPU seconds per score."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which suite, who explains, and which scorers are compared on it."""
    parser.add_argument(
        "--suite", metavar="FILE", help="suite of planted units (default: the project's own)"
    )
    parser.add_argument(
        "--dictionary",
        action="store_true",
        help="explain latents of a dictionary that reads the suite's units, next to random latents, "
        "and measure how many are better than their controls",
    )
    parser.add_argument(
        "--targets",
        type=int,
        metavar="N",
        help="units of the suite, drawn at random (default: all)",
    )
    shared_options.add_subject(parser)
    shared_options.add_corpus(parser)
    shared_options.add_explainer(parser)
    shared_options.add_name(parser, "bench-planted-SUITE-CORPUS-EXPLAINER")
    shared_options.add_seed(parser)
    options.add_engine(parser)
    scorers = parser.add_argument_group("which scorers can be trusted?")
    scorers.add_argument(
        "--scorers", metavar="S,S", help="compare these scorers, or all, on the planted units"
    )
    scorers.add_argument(
        "--judge",
        default="predicate",
        metavar="J",
        help="judge of the scorers: predicate (default), openai:MODEL, anthropic:MODEL, ...",
    )
    scorers.add_argument(
        "--base-url",
        default="",
        metavar="URL",
        help="server of the judge, and of an explainer that is a language model",
    )


def run(args: argparse.Namespace) -> int:
    """Make or continue the run, then print what it found of what was planted."""
    from ...agent.runlog.progress import progress
    from ...agent.runlog.run_subject import planted
    from ...tools.subject import load_subject, read_suite
    from ..planted import PROJECT_SUITE, choose_units
    from ..planted_latents import DICTIONARY_SUITE

    suite = read_suite(args.suite or (DICTIONARY_SUITE if args.dictionary else PROJECT_SUITE))
    if args.targets is not None and args.targets < 1:
        raise UsageError(
            f"--targets {args.targets}: give at least 1, or leave it out for the whole suite"
        )
    if args.dictionary and args.scorers:
        raise UsageError("--scorers compares scorers on planted units: leave out --dictionary")
    units = choose_units(suite, args.targets, args.seed)
    plan, choice = _scorer_plan(args), options.engine(args)
    folder = args.runs / (args.name or _run_name(args, suite.digest))
    with progress(quiet=args.quiet) as reporter:
        subject = planted(
            load_subject(args.subject, device=args.device, dtype=args.dtype), suite, args.corpus
        )
        bench = _latents_bench if args.dictionary else _units_bench
        report, failed = bench(args, choice, subject, units, folder, reporter)
        if plan is not None:
            from ..scorers import compare_scorers

            rows = compare_scorers(folder, subject, units, report.results, plan, reporter)
            report.summary["scorers"] = [row.to_json() for row in rows]
    if args.json:
        for row in report.results:
            output.json_line(row.to_json())
        output.json_line({"summary": report.summary})
    else:
        _show(report.results, report.summary)
    return SOME_FAILED if failed else DONE


def _units_bench(
    args: argparse.Namespace,
    choice: EngineChoice,
    subject: PlantedSubject,
    units: Sequence[SuiteUnit],
    folder: Path,
    reporter: Reporter,
) -> tuple[PlantedReport, int]:
    """The report on planted units, and how many targets failed."""
    from ...agent.run.execute import execute_run
    from ..planted import evaluate, make_planted_run, planted_index, target_of

    targets = [target_of(subject, unit) for unit in units]

    def index() -> Path:
        return planted_index(subject, args.corpus, reporter)

    make_planted_run(folder, subject, targets, index, **run_settings(args))
    with chosen_engine(choice, folder / PIECES, reporter, [folder]) as engine:
        result = execute_run(folder, reporter=reporter, subject=subject, engine=engine)
    return evaluate(folder, subject, units), result.failed


def _latents_bench(
    args: argparse.Namespace,
    choice: EngineChoice,
    subject: PlantedSubject,
    units: Sequence[SuiteUnit],
    folder: Path,
    reporter: Reporter,
) -> tuple[PlantedReport, int]:
    """The report on latents that read planted units, and how many targets failed."""
    from ...agent.run.execute import execute_run
    from ..planted import make_planted_run
    from ..planted_latents import evaluate_latents, known_latents, latents_index

    known = known_latents(subject, units, args.corpus, args.seed)

    def index() -> Path:
        return latents_index(known, args.corpus, reporter)

    make_planted_run(folder, subject, known.all_targets, index, **run_settings(args))
    with chosen_engine(choice, folder / PIECES, reporter, [folder]) as engine:
        result = execute_run(folder, reporter=reporter, subject=subject, engine=engine)
    return evaluate_latents(folder, known, reporter), result.failed


def run_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Settings of the bench's run that the command line decides."""
    from ...agent.runlog.model_config import is_language_model

    base_url = {"base_url": args.base_url} if is_language_model(args.explainer) else {}
    return {
        "explainer": args.explainer,
        "seed": args.seed,
        "device": args.device,
        "dtype": args.dtype,
    } | base_url


def _scorer_plan(args: argparse.Namespace) -> RescoringPlan | None:
    """The plan of `--scorers`, checked before anything is loaded; None without it."""
    if not args.scorers:
        return None
    from ...agent.rescoring.evaluate import check_plan
    from ...agent.rescoring.plan import RescoringPlan
    from ...agent.runlog.model_config import ModelConfig
    from ...evals.scorers.registry import scorer_names

    listed = tuple(part.strip() for part in args.scorers.split(","))
    plan = RescoringPlan(
        scorers=tuple(scorer_names()) if args.scorers == "all" else listed,
        judge=ModelConfig(args.judge, args.base_url),
        device=args.device,
        dtype=args.dtype,
    )
    check_plan(plan)
    return plan


def _run_name(args: argparse.Namespace, digest: str) -> str:
    """Name of a run that the same command finds again."""
    kind = "bench-latents" if args.dictionary else "bench-planted"
    parts = (kind, digest[:8], args.corpus, args.explainer, args.targets, args.seed)
    return re.sub(r"[^A-Za-z0-9-]+", "-", "-".join(str(part) for part in parts if part))


def _show(results: Sequence[PlantedResult], summary: Mapping[str, Any]) -> None:
    output.table(UNIT_COLUMNS, [_unit_cells(row) for row in results], right=UNIT_COLUMNS[3:7])
    output.table(
        ("family", "recovered", "states it", "decidable", "units"),
        [(name, *counts.values()) for name, counts in summary["by_family"].items()],
        right=("recovered", "states it", "decidable", "units"),
    )
    recovered = _share(summary["recovered"], summary["recovered_interval"])
    false_keeps = _share(summary["false_keep"], summary["false_keep_interval"])
    stated = _share(summary["states_meaning"], summary["states_meaning_interval"])
    output.line(
        f"recovered {recovered}, meaning stated {stated} of {summary['decidable']} decidable units "
        f"({summary['undecidable']} are not decidable on this holdout); "
        f"false keeps {false_keeps} of {summary['nulls']} nulls; "
        f"controls kept {summary['controls_kept']} of {summary['controls']}"
    )
    output.line(
        "a true explanation scores higher than another unit's: "
        f"AUROC {two_decimals(summary['auroc'])}; rank correlation of score and truth "
        f"{two_decimals(summary['calibration']['spearman'])}"
    )
    if summary.get("comparisons"):
        _show_comparisons(summary)
    if summary["scorers"]:
        cells = [_scorer_cells(row) for row in summary["scorers"]]
        output.table(SCORER_COLUMNS, cells, right=SCORER_COLUMNS[1:])


def _show_comparisons(summary: Mapping[str, Any]) -> None:
    output.table(
        LATENT_COLUMNS,
        [
            (row["of"], row["against"], row["by"], f"{row['better']} of {row['latents']}")
            for row in summary["comparisons"]
        ],
        right=("better",),
    )
    controls = _share(summary["controls_better"], summary["controls_better_interval"])
    missed = ", ".join(summary["missed"]) or "none"
    output.line(f"of random and permuted latents {controls} are called better than their controls")
    output.line(f"decidable but not recovered: {missed}")


def _unit_cells(row: PlantedResult) -> tuple[object, ...]:
    numbers = (two_decimals(value) for value in (row.r, row.r_truth, row.precision, row.recall))
    if row.recovered:
        recovered = "yes"
    elif row.decidable:
        recovered = "no"
    else:
        recovered = "not decidable" if row.decidable is False else None
    verdict = "kept" if row.kept else "not kept"
    stated = "yes" if row.states_meaning else "no" if row.decidable else None
    return (row.id, row.target, verdict, *numbers, recovered, stated, row.explanation)


def _scorer_cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        row["scorer"],
        _with_interval(row["auroc"]),
        _with_interval(row["auroc_near"]),
        *(two_decimals(row[name]) for name in ("truth", "true", "other", "near")),
        f"{row['coverage']['scored']} of {row['coverage']['targets']}",
        row["cost"]["calls"],
        row["cost"]["input_tokens"],
        f"{row['cpu_seconds']:.2f}",
    )


def _with_interval(estimate: Mapping[str, float] | None) -> str | None:
    if estimate is None:
        return None
    low, high = estimate["low"], estimate["high"]
    return f"{estimate['value']:.2f}" + ("" if low is None else f" [{low:.2f}, {high:.2f}]")


def _share(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None or interval is None:
        return "-"
    return f"{value:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"
