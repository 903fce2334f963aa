"""`hubel show RUN --timing`: where the time of a run went."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runlog.log import RunLog
from ..runlog.phases import EVENT
from . import output

COLUMNS = ("phase", "wall s", "CPU s")


def show_timing(folder: Path, *, as_json: bool) -> None:
    """The phases of each time that the run was executed: a table each, or a JSON line a phase."""
    timings = RunLog(folder, writable=False).all(EVENT)
    if not timings:
        output.note(
            f"the times of {folder.name} are not recorded: it was made by a version of hubel that did "
            "not, or nothing of it was executed yet"
        )
    for number, timing in timings.items():
        if as_json:
            for row in _json_rows(timing):
                output.json_line({"execution": int(number or 0), **row})
            continue
        title = f"execution {number} of {folder.name}" if len(timings) > 1 else ""
        output.table(COLUMNS, _cells(timing), title=title, right=COLUMNS[1:])
    if timings and not as_json:
        output.line(
            "steps of investigations run side by side: their wall seconds add up to more than "
            "`explain` has"
        )


def _json_rows(timing: Mapping[str, Any]) -> list[dict[str, Any]]:
    before = {"phase": "before", "seconds": None, "cpu_seconds": timing["cpu_seconds_before"]}
    rows = [before]
    for key, kind in (("phases", "phase"), ("steps", "step")):
        rows += [
            {kind: row["name"], "seconds": row["seconds"], "cpu_seconds": row["cpu_seconds"]}
            for row in timing[key]
        ]
    return rows


def _cells(timing: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Phases, with the steps below `explain`, and the total."""
    before = float(timing["cpu_seconds_before"])
    cells: list[tuple[object, ...]] = [("start of Python, imports", None, f"{before:.2f}")]
    for phase in timing["phases"]:
        cells.append(_cell("", phase))
        if phase["name"] == "explain":
            cells += [_cell("  ", step) for step in timing["steps"]]
    wall = sum(phase["seconds"] for phase in timing["phases"])
    cpu = before + sum(phase["cpu_seconds"] for phase in timing["phases"])
    return [*cells, ("in all", f"{wall:.2f}", f"{cpu:.2f}")]


def _cell(indent: str, row: Mapping[str, Any]) -> tuple[object, ...]:
    return (f"{indent}{row['name']}", f"{row['seconds']:.2f}", f"{row['cpu_seconds']:.2f}")
