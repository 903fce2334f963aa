"""Replay: compute a run again from its log, with no subject, no index, no key and no network.

1. The journal (the explainer's moves, instruments' results, language models' answers) is copied into
   a new log.
2. The same graph runs on it. Predictions are compared, hypotheses and winners scored and verdicts
   decided again, from the activations that the run collected.
3. Every event that was computed is compared with the run's event of the same name, value by value,
   and so are the rows of `show`. A difference is a mismatch: the log was changed, or the numbers do
   not hold on this machine.
4. What cannot be computed again (replies, instruments' results, times, settings) is covered by the
   hashes of the chain, which are checked first, and is listed.

Targets that failed or were never finished are taken over as they are; there is nothing to check.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
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
from ..runlog.compare_logs import compare_logs, differences
from ..runlog.config import RunConfig
from ..runlog.events import LEFT_OUT, LLM_BATCH, LLM_BATCH_STATE, LLM_CALL, LLM_REQUEST
from ..runlog.layout import COLLECTED, CONFIG, LEXICON
from ..runlog.lexicon import stored_lexicon
from ..runlog.log import RunLog, canonical, read_events
from ..runlog.progress import Reporter
from ..runlog.target_counts import count_targets
from ..runlog.views import COST_KEYS, TargetRow, target_rows
from .investigate import investigate_all
from .verify_run import verify_run

JOURNAL = frozenset(
    {"call", "explainer_call", "fit", "grades", "follows", LLM_CALL, LLM_REQUEST, "retry"}
    | {"explainer", "score_failure", "rotated", "subject_check", LEFT_OUT}
    | {LLM_BATCH, LLM_BATCH_STATE}
)
"""Events that are copied: what a run was told, as opposed to what it computed."""
_NOT_COMPUTED = (*COST_KEYS, "error")


@dataclass(frozen=True)
class Replay:
    """The rows that a replay computed, and where they and the events differ from the run's own."""

    rows: list[TargetRow]
    mismatches: list[str]
    bitwise: bool
    """Whether every number is the same to the last bit."""
    computed: dict[str, int]
    """Kind of event to the number that was computed again."""
    not_computed: dict[str, int]
    """Kind of event to the number that was not."""
    written_otherwise: dict[str, int]
    """For a run from before hashes: kind of event to the number that differ in values that the rows do
    not show. An earlier version may have written them so, which cannot be told from a change."""
    has_hashes: bool
    """Whether the chain covers what was not computed."""


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
    """Verify the hashes of a finished run, run it again from its log, and compare.

    Raises:
        CorruptError: a hash does not hold, or the journal or the collected activations are missing.
    """
    verification = verify_run(folder)
    if verification.problems:
        raise CorruptError("; ".join(verification.problems))
    stored = target_rows(folder)
    finished = [row["target"] for row in stored if row["status"] == "done"]
    failed = {row["target"] for row in stored if row["status"] == "failed"}
    with _copy_of_journal(folder, keep_failures=failed) as copy:
        model = _run_again(folder, copy, finished, reporter or Reporter())
        computed = target_rows(copy)
        old, new = RunLog(folder, writable=False), RunLog(copy, writable=False)
        events = compare_logs(old, new, {*JOURNAL, "failure"}, {*finished, None})
    for new_row, old_row in zip(computed, stored, strict=True):
        not_computed: Any = {key: old_row[key] for key in _NOT_COMPUTED}
        new_row.update(not_computed)
    has_hashes = verification.events > verification.unchained
    by_event = events.mismatches | ({} if model is None else model.other_requests)
    mismatches: list[str] = []
    for old_row, new_row in zip(stored, computed, strict=True):
        mismatches += differences(old_row, new_row, f"{old_row['target']}: ")
    if has_hashes:
        mismatches += [line for lines in by_event.values() for line in lines]
    return Replay(
        computed,
        mismatches,
        bitwise=canonical(computed) == canonical(stored) and (events.bitwise or not has_hashes),
        computed=events.computed,
        not_computed=events.not_computed,
        written_otherwise={} if has_hashes else dict(Counter(name.event for name in by_event)),
        has_hashes=has_hashes,
    )


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


def _run_again(
    folder: Path, copy: Path, targets: list[str], reporter: Reporter
) -> ReplayModel | None:
    """Investigate the targets again from the journal; then decide, if every target has ended.

    Returns:
        The model that answered from the journal, if the explainer converses.
    """
    config, model = RunConfig.load(copy), None
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
            driver, model = _driver(context, folder)
            investigate_all(driver, targets, reporter)
            for target in targets:
                failure = log.get("failure", target)
                if failure and not log.has("conclusion", target):
                    raise CorruptError(f"{target} cannot be replayed: {failure['error']}")
        if not count_targets(log, config.targets).pending:
            decide_run(copy, config, log, lexicon)
    return model


def _driver(
    context: InvestigationContext, folder: Path
) -> tuple[ExplainerDriver, ReplayModel | None]:
    """Drives a recorded explainer; a language model's replies are parsed again."""
    identity = context.log.get("explainer")
    if identity is None:
        raise CorruptError(f"{folder} does not say which explainer made it; its log was cut short")
    if not identity.get("converses"):
        return ExplainerDriver(context, RecordedExplainer(identity)), None
    explainer = make_explainer(identity["name"], context.config)
    if explainer.version != identity["version"]:
        raise CorruptError(
            f"the run was made by version {identity['version']} of the experimenter, here is "
            f"{explainer.version}; replay it with the hubel that its config.toml names"
        )
    model = ReplayModel(context.log, identity["name"])
    return DialogueDriver(context, explainer, model), model
