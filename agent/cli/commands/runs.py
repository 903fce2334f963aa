"""`hubel runs`: list the runs, and how far each has come."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....tools.errors import HubelError
from ...circuits.config import is_circuit
from ...runlog.config import RunConfig
from ...runlog.layout import CONFIG
from .. import output
from ..circuit.runs import row_of_circuit
from ..exit_status import DONE

NAME = "runs"
HELP = "list the runs"
COUNTS = ("targets", "done", "failed", "kept", "rejected", "inconclusive")
COLUMNS = ("name", "subject", "explainer", *COUNTS, "mean r")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only the common options."""


def run(args: argparse.Namespace) -> int:
    """Print one row per run, oldest first."""
    configs = sorted(args.runs.glob(f"*/{CONFIG}"), key=lambda path: path.stat().st_mtime)
    rows = [_row(path.parent) for path in configs]
    if args.json:
        for row in rows:
            output.json_line(row)
    elif rows:
        output.table(COLUMNS, [_cells(row) for row in rows], right=COLUMNS[3:])
    else:
        output.line(f"no runs in {args.runs}; `hubel demo` makes the first one")
    return DONE


def _cells(row: Mapping[str, Any]) -> list[object]:
    """The values of the columns; an unreadable run shows its error instead of its subject."""
    subject = row["error"] or row["subject"]
    return [row["name"], subject, row["explainer"], *(row[name] for name in COUNTS), row["mean_r"]]


def _row(folder: Path) -> dict[str, Any]:
    """One run's counts of verdicts and mean score; `error` if it cannot be read."""
    from ...runlog.views import connect

    row: dict[str, Any] = {"name": folder.name, "subject": None, "explainer": None}
    row |= dict.fromkeys((*COUNTS, "mean_r", "error"))
    try:
        if is_circuit(folder):
            return row_of_circuit(folder)
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
    except HubelError as error:
        return row | {"error": str(error)}
    row |= dict(zip(COUNTS, counts or (), strict=False))
    return row | {
        "subject": config.subject.get("name"),
        "explainer": config.explainer.name,
        "mean_r": mean[0] if mean else None,
    }
