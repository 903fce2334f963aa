"""A study in the terminal: its claims and its table, or JSON; replaying and finishing its run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...runlog.layout import STUDY, run_argument
from ...runlog.progress import progress
from ...studies.config import StudyConfig
from ...studies.result import read_study
from .. import output
from ..exit_status import DONE, FAILED

SHOWN_ROWS = 40
"""Rows of the table that a terminal shows; all of them are in study.json and on the page."""


def print_study(folder: Path, document: Mapping[str, Any], *, as_json: bool) -> None:
    """Its claims, and as JSON a last line with `summary`."""
    from ...studies.run import study_seconds

    seconds = study_seconds(folder)
    if as_json:
        for claim in document["claims"]:
            output.json_line(claim)
        figures = [figure["name"] for figure in document["figures"]]
        output.json_line({"summary": {"seconds": seconds, "figures": figures}})
        return
    output.line(f"{document['study']}: {document['question']}")
    for claim in document["claims"]:
        output.line(f"  {claim['verdict']:11} {claim['claim']}")
        output.line(f"              {_figure(claim)}")
    rows = document["rows"]
    if rows:
        columns = list(rows[0])
        output.line()
        cells = [[_cell(row[column]) for column in columns] for row in rows[:SHOWN_ROWS]]
        output.table(columns, cells)
        if len(rows) > SHOWN_ROWS:
            output.line(f"and {len(rows) - SHOWN_ROWS} more rows in {folder / STUDY}")
    output.line()
    names = [figure["name"] for figure in document["figures"]]
    if names:
        figures = f"{output.count(len(names), 'figure')} ({', '.join(names)})"
        output.line(f"{figures}: hubel review {run_argument(folder)}")


def show_study(folder: Path, *, as_json: bool) -> None:
    """Print a finished study."""
    print_study(folder, read_study(folder), as_json=as_json)


def finish_study(folder: Path, args: argparse.Namespace) -> int:
    """Run a study to its end."""
    from ...studies.run import execute_study_run

    with progress(quiet=args.quiet) as reporter:
        document = execute_study_run(folder, reporter)
    print_study(folder, document, as_json=args.json)
    return DONE


def replay_of_study(folder: Path, args: argparse.Namespace) -> int:
    """Replay a study; returns 0 if every recomputed value equals that in study.json, else 1."""
    from ...studies.run import replay_study

    replay = replay_study(folder)
    if args.json:
        print_study(folder, replay.document, as_json=True)
    elif not replay.mismatches:
        precision = "bit for bit" if replay.bitwise else "to 1e-6"
        output.line(f"the log holds: everything computed again is the same {precision}")
    for mismatch in replay.mismatches:
        output.note(f"hubel: mismatch: {mismatch}")
    return FAILED if replay.mismatches else DONE


def row_of_study(folder: Path) -> dict[str, Any]:
    """The row of a study in `hubel runs`."""
    config = StudyConfig.load(folder)
    document = read_study(folder) if (folder / STUDY).exists() else None
    verdicts = [claim["verdict"] for claim in document["claims"]] if document else []
    return {
        "name": folder.name,
        "subject": ", ".join(config.subjects),
        "explainer": None,
        "targets": 1,
        "done": int(document is not None),
        "failed": 0,
        "kept": 0,
        "rejected": 0,
        "inconclusive": 0,
        "mean_r": None,
        "error": None,
        "study": {
            "study": config.study,
            "supported": verdicts.count("supported"),
            "refuted": verdicts.count("refuted"),
            "cannot say": verdicts.count("cannot say"),
        },
    }


def _figure(claim: Mapping[str, Any]) -> str:
    if claim["value"] is None:
        return f"n {claim['n']:,}"
    interval = "" if claim["low"] is None else f" [{claim['low']:.3g}, {claim['high']:.3g}]"
    control = "" if claim["control"] is None else f", control {claim['control']:.3g}"
    return f"{claim['value']:.3g}{interval}{control}, n {claim['n']:,}"


def _cell(value: object) -> object:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else value
