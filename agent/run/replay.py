"""Replay: a run once more from its log, with no subject, no index, no key and no network.

1. The journal (explainer's moves, instruments' results, language models' answers) is copied into a
   fresh log.
2. The same graph runs on it: predictions are adjudicated, hypotheses simulated, the winner scored
   and verdicts decided, all computed anew from the activations that the run collected.
3. What comes out is held against what the run's own log says. A difference is a mismatch: the log
   was changed, or the numbers do not hold on this machine.

Targets that failed or were never finished are taken over as they are; there is nothing to check
about them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...tools.errors import CorruptError
from ...tools.index import Collected
from ..explainers import make_explainer
from ..explainers.protocol import Explainer, InvestigationView, Move
from ..investigation.context import InvestigationContext
from ..investigation.verify import decide_run
from ..llm.journaled_model import ReplayModel
from ..runlog.config import RunConfig
from ..runlog.layout import COLLECTED, CONFIG, LEXICON
from ..runlog.lexicon import stored_lexicon
from ..runlog.log import RunLog, canonical, read_events
from ..runlog.progress import Reporter
from ..runlog.views import COST_KEYS, rows
from .execute import investigate_all

JOURNAL = (
    "call",
    "explainer_call",
    "fit",
    "grades",
    "llm_call",
    "retry",
    "explainer",
    "score_failure",
)
TOLERANCE = 1e-6
"""Largest difference of a number between machines that is no mismatch (contract)."""
_NOT_COMPUTED = (*COST_KEYS, "error")


@dataclass(frozen=True)
class Replay:
    """What a replay gave: the rows computed anew, and where they differ from the run's own."""

    rows: list[dict[str, Any]]
    mismatches: list[str]
    bitwise: bool
    """Whether every number is the same to the last bit."""


class _Recorded:
    """Stands where the explainer was: every move comes from the journal."""

    def __init__(self, identity: dict[str, Any]) -> None:
        self.name: str = identity["name"]
        self.version: str = identity["version"]
        self.revises: bool = identity["revises"]
        self.converses = False
        self.moves_a_round: int = identity.get("moves_a_round", 4)

    def move(self, case: InvestigationView) -> Move:
        raise CorruptError(
            f"the journal holds no move {case.moves + 1} for {case.target}: this log was changed or cut short"
        )


def replay(folder: Path, reporter: Reporter | None = None) -> Replay:
    """Run a finished run again from its log and compare.

    Raises:
        CorruptError: the journal or the collected activations are not there.
    """
    stored = rows(folder)
    finished = [row["target"] for row in stored if row["status"] == "done"]
    with _copy_of_journal(
        folder, keep_failures={r["target"] for r in stored if r["status"] == "failed"}
    ) as copy:
        _run_again(folder, copy, finished, reporter or Reporter())
        fresh = rows(copy)
    fresh = [
        new | {k: old[k] for k in _NOT_COMPUTED} for new, old in zip(fresh, stored, strict=True)
    ]
    mismatches = [
        line for old, new in zip(stored, fresh, strict=True) for line in _differences(old, new)
    ]
    return Replay(fresh, mismatches, bitwise=canonical(fresh) == canonical(stored))


@contextmanager
def _copy_of_journal(folder: Path, keep_failures: set[str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hubel-replay-") as name:
        copy = Path(name)
        shutil.copy(folder / CONFIG, copy)
        for part in (COLLECTED, LEXICON):
            os.symlink((folder / part).resolve(), copy / part)
        with closing(RunLog(copy)) as log:
            for event in read_events(folder):
                if event.event in JOURNAL or (
                    event.event == "failure" and event.target in keep_failures
                ):
                    log.write(event.event, event.data, target=event.target, id=event.id)
        yield copy


def _run_again(folder: Path, copy: Path, targets: list[str], reporter: Reporter) -> None:
    config = RunConfig.load(copy)
    lexicon = stored_lexicon(folder)
    with closing(RunLog(copy)) as log:
        identity = log.get("explainer")
        if identity is None and targets:
            raise CorruptError(
                f"{folder} does not say which explainer made it; its log was cut short"
            )
        if targets and identity:
            data = copy / COLLECTED
            room = InvestigationContext(
                copy,
                config,
                log,
                explainer=_explainer(identity, config),
                explore=Collected.open(data, "explore"),
                select=Collected.open(data, "select"),
                lexicon=lexicon,
                bench=None,
                asker=ReplayModel(log, identity["name"]) if identity.get("converses") else None,
            )
            investigate_all(room, targets, reporter)
            for target in targets:
                if (failure := log.get("failure", target)) and log.get(
                    "conclusion", target
                ) is None:
                    raise CorruptError(f"{target} cannot be replayed: {failure['error']}")
        if all(log.get("conclusion", t) or log.get("failure", t) for t in config.targets):
            decide_run(copy, config, log, lexicon)


def _explainer(identity: dict[str, Any], config: RunConfig) -> Explainer:
    """A recorded mind; of a language model the one that reads its replies, which are in the journal."""
    if not identity.get("converses"):
        return _Recorded(identity)
    explainer = make_explainer(identity["name"], config)
    if explainer.version != identity["version"]:
        raise CorruptError(
            f"the run was made by version {identity['version']} of the experimenter, here is {explainer.version}; "
            "replay it with the hubel that its config.toml names"
        )
    return explainer


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Lines that say where two rows differ by more than `TOLERANCE`."""
    if isinstance(old, dict) and isinstance(new, dict):
        name = where or f"{old.get('target', '')}: "
        return [d for key in old for d in _differences(old[key], new.get(key), f"{name}{key} ")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            d
            for i, (a, b) in enumerate(zip(old, new, strict=True))
            for d in _differences(a, b, f"{where}{i} ")
        ]
    if isinstance(old, float) and isinstance(new, float) and abs(old - new) <= TOLERANCE:
        return []
    return [] if old == new else [f"{where}is {old!r} in the log, {new!r} computed anew"]
