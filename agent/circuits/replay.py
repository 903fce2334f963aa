"""Replay a circuit run from its log, without the subject.

Measurements and the explainer's answer come from the journal. Everything that follows from them
(statistics, outcomes of roles, the verdict) is computed again and compared with circuit.json. A
difference is a mismatch: something was changed, or this machine computes other numbers.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from ...tools.errors import CorruptError
from ..llm.journaled_model import ReplayModel
from ..runlog.compare_logs import differences
from ..runlog.data_files import check_file
from ..runlog.layout import CIRCUIT, CIRCUIT_ARRAYS, CIRCUIT_IMPORTED, CONFIG, EVENTS
from ..runlog.log import RunLog, canonical, read_events
from ..runlog.progress import Reporter
from .config import CircuitConfig
from .context import CircuitContext
from .journal import MeasurementJournal
from .result import CircuitResult, read_result

COPIED_EVENTS = ("measurement", "array", "llm_call", "llm_request", "prompt", "roles_failed")
SHOWN_MISMATCHES = 20
"""Mismatches that are listed."""


@dataclass(frozen=True)
class CircuitReplay:
    """What a replay computed, and where it differs from circuit.json."""

    result: CircuitResult
    mismatches: list[str]
    bitwise: bool


def replay_circuit(folder: Path, reporter: Reporter | None = None) -> CircuitReplay:
    """Compute a finished circuit run again.

    Raises:
        CorruptError: there is no log, or a measurement is missing from the log or an array.
    """
    from .investigation import investigate

    if not (folder / EVENTS).is_dir():
        raise CorruptError(
            f"{folder.name} is a circuit without its log (there is no {EVENTS}/): `hubel circuit show` "
            "and `hubel review` show it, but only the folder in which it was made can be replayed"
        )
    old = read_result(folder)
    with recorded_context(folder, reporter) as context:
        new = json.loads(canonical(investigate(context)))
    if "circuit_edges" not in old:
        new.pop("circuit_edges", None)  # not kept at that time
    return CircuitReplay(
        new,
        differences(old, new, origin=CIRCUIT)[:SHOWN_MISMATCHES],
        canonical(old) == canonical(new),
    )


@contextmanager
def recorded_context(folder: Path, reporter: Reporter | None = None) -> Iterator[CircuitContext]:
    """What the log of a run holds, in a copy: nothing is measured, and the run's folder stays as it is."""
    with tempfile.TemporaryDirectory(prefix="hubel-replay-") as name:
        copy = Path(name)
        shutil.copy(folder / CONFIG, copy)
        if (folder / CIRCUIT_ARRAYS).is_dir():
            os.symlink((folder / CIRCUIT_ARRAYS).resolve(), copy / CIRCUIT_ARRAYS)
        if (folder / CIRCUIT_IMPORTED).exists():
            shutil.copy(check_file(folder, CIRCUIT_IMPORTED), copy)
        with closing(RunLog(copy)) as log:
            for event in read_events(folder):
                if event.event in COPIED_EVENTS:
                    log.write(event.event, event.data, target=event.target, id=event.id)
            journal = MeasurementJournal(copy, log, recorded=True)
            config = CircuitConfig.load(copy)
            yield CircuitContext(
                copy,
                config,
                log,
                journal,
                load=_no_subject,
                reporter=reporter or Reporter(),
                open_model=partial(ReplayModel, log, config.explainer.name),
            )


def _no_subject() -> NoReturn:
    raise CorruptError(
        "a measurement is missing from the log, and a replay loads no subject; `hubel resume` measures again"
    )
