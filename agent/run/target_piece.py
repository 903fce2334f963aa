"""A target's whole investigation as a piece of work: any worker of an engine can do it, and do it twice.

1. A worker opens the run once (`worker_run`).
2. It investigates the target from the first step, against a log in memory, which begins with what
   the run's journal has of the target already, such as answers from before a failure.
3. What it wrote, and the time that the steps took, becomes one file, which appears in one step. Only
   the process that holds the run writes the run's log (`investigate_on_engine`).

Only for explainers without a language model: its replies are paid for, and belong in the journal at
once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..engine import Worker
from ..engine.checked_file import read_checked, write_checked
from ..runlog.journal import request_hash
from ..runlog.layout import PIECES
from ..runlog.log import Entry, EventName, canonical
from .worker_run import RunInputs, open_worker_run

JOURNALED = ("call", "explainer_call")
"""Kinds of events that answer again what was answered before. All others follow from them."""
FORMAT = 1
"""Of a piece's output. It goes into the piece's key, so that another version's output is not read."""


@dataclass(frozen=True)
class TargetPiece:
    """One target of a run.

    Attributes:
        before: what the run's journal has of the target, as JSON (`journal_of`).
    """

    run_inputs: RunInputs
    target: str
    before: str

    @property
    def key(self) -> str:
        """The hash of everything that the result depends on."""
        inputs = self.run_inputs
        return request_hash(
            {
                "format": FORMAT,
                "settings": inputs.settings,
                "collected": [list(file) for file in inputs.collected],
                "target": self.target,
                "before": self.before,
            }
        )

    @property
    def title(self) -> str:
        """The target's address."""
        return self.target

    @property
    def output(self) -> Path:
        """The file of what was written about the target."""
        return self.run_inputs.folder / PIECES / f"{self.key}.json"

    def run(self, worker: Worker) -> None:
        """Investigate the target and write the output."""
        inputs = self.run_inputs
        run = open_worker_run(inputs, worker)
        run.check_concepts(inputs, worker)
        finding = Finding(*run.investigate(self.target, read_entries(self.before)))
        write_finding(self.output, finding)


class Finding(NamedTuple):
    """What came of an investigation: its events, and the seconds and CPU seconds of its steps."""

    entries: list[Entry]
    steps: dict[str, tuple[float, float]]


def entries_text(entries: Sequence[Entry]) -> str:
    """Events as JSON, to be read again by `read_entries`."""
    return canonical([[*name, data] for name, data in entries])


def journal_of(entries: Iterable[Entry]) -> list[Entry]:
    """Those that begin another attempt at the same target."""
    return [entry for entry in entries if entry[0].event in JOURNALED]


def read_entries(text: str) -> list[Entry]:
    """The events that `entries_text` wrote."""
    return [(EventName(event, target, id), data) for event, target, id, data in json.loads(text)]


def write_finding(path: Path, finding: Finding) -> None:
    """Write an output in one step: a line of times, then the events."""
    text = f"{canonical(finding.steps)}\n{entries_text(finding.entries)}"
    write_checked(path, text.encode("utf-8", "surrogatepass"))


def read_finding(path: Path) -> Finding:
    """Read an output; raises CorruptError if it is not what was written."""
    text = read_checked(path).decode("utf-8", "surrogatepass")
    steps, _, entries = text.partition("\n")
    return Finding(read_entries(entries), json.loads(steps))
