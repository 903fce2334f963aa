"""`hubel runs`: list the runs, and how far each has come."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....tools.errors import HubelError
from ...circuits.config import is_circuit
from ...exchange.config import is_imported
from ...runlog.config import RunConfig, run_folders
from ...runlog.layout import CONFIG
from ...studies.config import is_study
from .. import output
from ..circuit.runs import row_of_circuit
from ..exit_status import DONE, describe_error
from ..imported_set import row_of_imported
from ..readable_run import readable_run
from ..study.tables import row_of_study

NAME = "runs"
HELP = "list the runs"
COUNTS = ("targets", "done", "failed", "kept", "rejected", "inconclusive")
COLUMNS = ("name", "subject", "explainer", *COUNTS, "mean r")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only the common options."""


def run(args: argparse.Namespace) -> int:
    """Print one row per run, oldest first."""
    rows = [_row(folder) for folder in sorted(run_folders(args.runs), key=_changed)]
    if args.json:
        for row in rows:
            output.json_line(row)
    elif rows:
        columns = (*COLUMNS, "error") if any(row["error"] for row in rows) else COLUMNS
        cells = [_cells(row)[: len(columns)] for row in rows]
        output.table(columns, cells, right=COLUMNS[3:])
    else:
        output.line(f"no runs in {args.runs}; `hubel demo` makes the first one")
    return DONE


def _changed(folder: Path) -> float:
    """When a run was made, as far as that can be seen."""
    try:
        return (folder / CONFIG).lstat().st_mtime
    except OSError:
        return 0.0


def _cells(row: Mapping[str, Any]) -> list[object]:
    """The values of the columns, and the error of an unreadable run, which may be long, last."""
    names = ("name", "subject", "explainer", *COUNTS, "mean_r")
    return [*(row[name] for name in names), row["error"] or ""]


def _row(folder: Path) -> dict[str, Any]:
    """One run's counts of verdicts and mean score; `error` if it cannot be read."""
    row: dict[str, Any] = {"name": folder.name, "subject": None, "explainer": None}
    row |= dict.fromkeys((*COUNTS, "mean_r", "error"))
    try:
        with readable_run(folder):
            return row | _values(folder)
    except (HubelError, OSError) as error:
        description = describe_error(error)
        return row | {"error": description[1] if description else str(error)}


def _values(folder: Path) -> dict[str, Any]:
    """What a run's log or result says."""
    if is_circuit(folder):
        return row_of_circuit(folder)
    if is_study(folder):
        return row_of_study(folder)
    if is_imported(folder):
        return row_of_imported(folder)
    return _values_of_units(folder)


def _values_of_units(folder: Path) -> dict[str, Any]:
    from ...runlog.views import connect

    config = RunConfig.load(folder)
    with connect(folder) as db:
        counts = db.execute(
            """select count(*), count(*) filter (status = 'done'), count(*) filter (status = 'failed'),
                      count(*) filter (verdict = 'kept'), count(*) filter (verdict = 'rejected'),
                      count(*) filter (verdict = 'inconclusive') from targets"""
        ).fetchone()
        mean = db.execute(
            """select round(avg(s.value), 3) from scores s join targets t using (target, hypothesis)
               where s.split = 'holdout' and s.text = 'random' and s.scorer = 'simulation'"""
        ).fetchone()
    return dict(zip(COUNTS, counts or (), strict=False)) | {
        "subject": config.subject.get("name"),
        "explainer": config.explainer.name,
        "mean_r": mean[0] if mean else None,
    }
