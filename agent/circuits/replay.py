"""A circuit run once more from its log, without the subject: statistics, roles' outcomes and
verdict are made anew.

Measurements and the explainer's answer come from the journal; everything that follows from them is
computed and held against circuit.json. A difference is a mismatch: something was changed, or
numbers do not hold on this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ...tools.errors import CorruptError
from ..llm.journaled_model import ReplayModel
from ..runlog.layout import CIRCUIT_ARRAYS, CONFIG
from ..runlog.log import RunLog, canonical, read_events
from ..runlog.progress import Reporter
from .config import CircuitConfig
from .context import CircuitContext
from .journal import Journal
from .stored import stored

TOLERANCE = 1e-6
KEPT = ("measurement", "array", "llm_call", "prompt", "roles_failed")
SHOWN = 20
"""Mismatches that are listed."""


@dataclass(frozen=True)
class CircuitReplay:
    """What a replay computed, and where it differs from circuit.json."""

    found: dict[str, Any]
    mismatches: list[str]
    bitwise: bool


def replay_circuit(folder: Path, reporter: Reporter | None = None) -> CircuitReplay:
    """Compute a finished circuit run again.

    Raises:
        CorruptError: the log or an array lacks what the run measured.
    """
    from .investigation import investigate

    old = stored(folder)
    with tempfile.TemporaryDirectory(prefix="hubel-replay-") as name:
        copy = Path(name)
        shutil.copy(folder / CONFIG, copy)
        if (folder / CIRCUIT_ARRAYS).is_dir():
            os.symlink((folder / CIRCUIT_ARRAYS).resolve(), copy / CIRCUIT_ARRAYS)
        with closing(RunLog(copy)) as log:
            for event in read_events(folder):
                if event.event in KEPT:
                    log.write(event.event, event.data, target=event.target, id=event.id)
            journal = Journal(copy, log, recorded=True)
            config = CircuitConfig.load(copy)
            asker = partial(ReplayModel, log, config.explainer.name)
            room = CircuitContext(
                copy, config, log, journal, _no_subject, reporter or Reporter(), asker
            )
            new = json.loads(canonical(investigate(room)))
    return CircuitReplay(new, _differences(old, new)[:SHOWN], canonical(old) == canonical(new))


def _no_subject() -> NoReturn:
    raise CorruptError(
        "the log lacks a measurement: a replay loads no subject; `hubel resume` makes it anew"
    )


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in old | new
            for line in _differences(old.get(key), new.get(key), f"{where}{key} ")
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [
            line for at, (one, two) in pairs for line in _differences(one, two, f"{where}{at} ")
        ]
    if isinstance(old, float) and isinstance(new, float) and abs(old - new) <= TOLERANCE:
        return []
    if old == new:
        return []
    return [f"{where}is {old!r} in circuit.json, {new!r} computed anew"]
