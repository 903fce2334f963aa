"""Replay: compute a run again from its log, with no subject, no index, no key and no network.

1. The journal (the explainer's moves, instruments' results, language models' answers) is copied into
   a new log.
2. The same graph runs on it. Predictions are compared, hypotheses and winners scored and verdicts
   decided again, from the activations that the run collected.
3. The results are compared with the run's own log. A difference is a mismatch: the log was changed,
   or the numbers do not hold on this machine.

Targets that failed or were never finished are taken over as they are; there is nothing to check.
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
from ..explainers.protocol import InvestigationView, Move
from ..investigation.conclude import decide_run
from ..investigation.context import InvestigationContext
from ..investigation.drivers import DialogueDriver, ExplainerDriver
from ..investigation.split_data import SplitData
from ..llm.journaled_model import ReplayModel
from ..runlog.config import RunConfig
from ..runlog.data_files import check_folder
from ..runlog.events import LLM_CALL, LLM_REQUEST
from ..runlog.layout import COLLECTED, CONFIG, LEXICON
from ..runlog.lexicon import stored_lexicon
from ..runlog.log import RunLog, canonical, read_events
from ..runlog.progress import Reporter
from ..runlog.views import COST_KEYS, TargetRow, target_rows
from .execute import investigate_all

JOURNAL = frozenset(
    {"call", "explainer_call", "fit", "grades", LLM_CALL, LLM_REQUEST, "retry", "explainer"}
    | {"score_failure"}
)
"""Events that are copied: what a run was told, as opposed to what it computed."""
TOLERANCE = 1e-6
"""Difference of a number between machines that is not a mismatch."""
_NOT_COMPUTED = (*COST_KEYS, "error")


@dataclass(frozen=True)
class Replay:
    """The rows that a replay computed, and where they differ from the run's own."""

    rows: list[TargetRow]
    mismatches: list[str]
    bitwise: bool
    """Whether every number is the same to the last bit."""


class RecordedExplainer:
    """Takes the explainer's place. Its moves are in the journal, so it is never asked for one."""

    def __init__(self, identity: dict[str, Any]) -> None:
        self.name: str = identity["name"]
        self.version: str = identity["version"]
        self.revises: bool = identity["revises"]
        self.converses = False
        # The first logs do not name it; every explainer had 4 then.
        self.moves_a_round: int = identity.get("moves_a_round", 4)

    def move(self, view: InvestigationView) -> Move:
        """Raise CorruptError, because the journal should have had this move."""
        raise CorruptError(
            f"the journal holds no move {view.moves + 1} for {view.unit}: "
            "this log was changed or cut short"
        )


def replay(folder: Path, reporter: Reporter | None = None) -> Replay:
    """Run a finished run again from its log and compare.

    Raises:
        CorruptError: the journal or the collected activations are missing.
    """
    check_folder(folder, COLLECTED)
    stored = target_rows(folder)
    finished = [row["target"] for row in stored if row["status"] == "done"]
    failed = {row["target"] for row in stored if row["status"] == "failed"}
    with _copy_of_journal(folder, keep_failures=failed) as copy:
        _run_again(folder, copy, finished, reporter or Reporter())
        computed = target_rows(copy)
    for new, old in zip(computed, stored, strict=True):
        new.update({key: old[key] for key in _NOT_COMPUTED})  # pyright: ignore[reportCallIssue, reportArgumentType]
    mismatches: list[str] = []
    for old, new in zip(stored, computed, strict=True):
        mismatches += _differences(old, new, f"{old['target']}: ")
    return Replay(computed, mismatches, bitwise=canonical(computed) == canonical(stored))


@contextmanager
def _copy_of_journal(folder: Path, keep_failures: set[str]) -> Iterator[Path]:
    """A temporary folder with the run's data and its journal, but none of its results."""
    with tempfile.TemporaryDirectory(prefix="hubel-replay-") as name:
        copy = Path(name)
        shutil.copy(folder / CONFIG, copy)
        for part in (COLLECTED, LEXICON):
            os.symlink((folder / part).resolve(), copy / part)
        with closing(RunLog(copy)) as log:
            for event in read_events(folder):
                is_kept_failure = event.event == "failure" and event.target in keep_failures
                if event.event in JOURNAL or is_kept_failure:
                    log.write(event.event, event.data, target=event.target, id=event.id)
        yield copy


def _run_again(folder: Path, copy: Path, targets: list[str], reporter: Reporter) -> None:
    """Investigate the targets again from the journal; then decide, if every target has ended."""
    config = RunConfig.load(copy)
    lexicon = stored_lexicon(folder)
    with closing(RunLog(copy)) as log:
        if targets:
            explore = Collected.open(copy / COLLECTED, "explore")
            select = Collected.open(copy / COLLECTED, "select")
            context = InvestigationContext(
                copy,
                config,
                log,
                data=SplitData(explore, select, lexicon),
            )
            investigate_all(_driver(context, folder), targets, reporter)
            for target in targets:
                failure = log.get("failure", target)
                if failure and log.get("conclusion", target) is None:
                    raise CorruptError(f"{target} cannot be replayed: {failure['error']}")
        if all(log.get("conclusion", t) or log.get("failure", t) for t in config.targets):
            decide_run(copy, config, log, lexicon)


def _driver(context: InvestigationContext, folder: Path) -> ExplainerDriver:
    """Drives a recorded explainer; a language model's replies are parsed again."""
    identity = context.log.get("explainer")
    if identity is None:
        raise CorruptError(f"{folder} does not say which explainer made it; its log was cut short")
    if not identity.get("converses"):
        return ExplainerDriver(context, RecordedExplainer(identity))
    explainer = make_explainer(identity["name"], context.config)
    if explainer.version != identity["version"]:
        raise CorruptError(
            f"the run was made by version {identity['version']} of the experimenter, here is "
            f"{explainer.version}; replay it with the hubel that its config.toml names"
        )
    return DialogueDriver(context, explainer, ReplayModel(context.log, identity["name"]))


def _differences(old: Any, new: Any, path: str) -> list[str]:
    """Lines that say where two values differ by more than `TOLERANCE`."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(key, value, new.get(key)) for key, value in old.items()]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(i, left, right) for i, (left, right) in enumerate(zip(old, new, strict=True))]
    elif isinstance(old, float) and isinstance(new, float) and abs(old - new) <= TOLERANCE:
        return []
    else:
        return [] if old == new else [f"{path}is {old!r} in the log, {new!r} computed anew"]
    return [line for key, a, b in pairs for line in _differences(a, b, f"{path}{key} ")]
