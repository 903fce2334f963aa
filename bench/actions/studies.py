"""`hubel bench studies`: known answers and nulls of all studies."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ...agent.cli import options, output
from ...agent.cli.chosen_engine import chosen_engine
from ...agent.cli.exit_status import DONE, FAILED
from ...agent.runlog.progress import progress
from ...tools.errors import UsageError
from ...tools.files import cache_dir

if TYPE_CHECKING:
    from ..studies.measure import StudyCheck

COLUMNS = ("study", "passed", "nulls supported", "seconds", "known answer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which studies, and how many runs of each null."""
    parser.add_argument(
        "--studies", metavar="A,B", help="only these (default: all; `hubel study` lists them)"
    )
    parser.add_argument("--nulls", type=int, metavar="N", help="runs of each null (default: 200)")
    options.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Status 0 if all studies pass, else 1."""
    from ...studies import find_study, studies
    from ..studies.measure import NULLS, check_study
    from ..studies.trials import count_here, count_on

    choice, folder = options.engine(args), cache_dir() / "bench" / "studies"
    names = args.studies.split(",") if args.studies else list(studies())
    if args.nulls is not None and args.nulls < 1:
        raise UsageError(f"--nulls {args.nulls}: give at least 1")
    chosen = [find_study(name.strip()) for name in names]
    checks: list[StudyCheck] = []
    with (
        progress(quiet=args.quiet) as reporter,
        chosen_engine(choice, folder, reporter) as engine,
    ):
        count = count_here if engine is None else count_on(engine, folder)
        for study in chosen:
            checks.append(
                check_study(
                    study,
                    NULLS if args.nulls is None else args.nulls,
                    progress=lambda done, total, name=study.name: reporter.update(
                        name, done, total, unit="runs", note=engine.note if engine else ""
                    ),
                    count=count,
                )
            )
            if args.json:
                output.json_line(checks[-1].to_json())
    if not args.json:
        output.table(COLUMNS, [_cells(check) for check in checks])
    return DONE if all(check.passed for check in checks) else FAILED


def _cells(check: StudyCheck) -> list[object]:
    passed = "yes" if check.passed else "NO"
    supported = f"{check.null_rate:.1%} of {check.nulls}"
    return [check.study, passed, supported, f"{check.seconds:.1f}", check.known_answer]
