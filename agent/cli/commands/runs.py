"""`hubel runs`: the runs that are there, and how far each is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ....tools.errors import HubelError
from ...circuits.config import is_circuit
from ...runlog.config import RunConfig
from ...runlog.layout import CONFIG
from .. import output
from ..circuit.runs import row_of_circuit

NAME = "runs"
HELP = "list the runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beside the common options."""


def run(args: argparse.Namespace) -> int:
    """One row a run, oldest first."""
    folders = sorted(
        (p.parent for p in args.runs.glob("*/config.toml")),
        key=lambda p: (p / CONFIG).stat().st_mtime,
    )
    found = [_row(folder) for folder in folders]
    if args.json:
        for row in found:
            output.json_line(row)
        return 0
    if not found:
        output.line(f"no runs under {args.runs}; `hubel demo` makes the first one")
        return 0
    columns = (
        "name",
        "subject",
        "explainer",
        "targets",
        "done",
        "failed",
        "kept",
        "rejected",
        "inconclusive",
        "mean r",
    )
    cells = [
        [
            row["error"] if row["error"] and c == "subject" else row[c.replace(" ", "_")]
            for c in columns
        ]
        for row in found
    ]
    output.table(columns, cells, right=columns[3:])
    return 0


def _row(folder: Path) -> dict[str, Any]:
    from ...runlog.views import connect

    row: dict[str, Any] = dict.fromkeys(
        (
            "subject",
            "explainer",
            "targets",
            "done",
            "failed",
            "kept",
            "rejected",
            "inconclusive",
            "mean_r",
            "error",
        )
    )
    row = {"name": folder.name, **row}
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
    names = ("targets", "done", "failed", "kept", "rejected", "inconclusive")
    row |= dict(zip(names, counts or (), strict=False)) | {"mean_r": mean[0] if mean else None}
    return row | {"subject": config.subject.get("name"), "explainer": config.explainer.name}
