"""Runs: many investigations under one configuration, from the first forward pass to the verdicts.

1. make     the configuration and the resolved targets are written, before anything is computed
2. collect  the targets' activations at every token, once (a run resumed finds them there)
3. explain  one LangGraph thread a target, many side by side; each ends as a conclusion or a failure in the log
4. decide   when the last target has ended: the floor `other`, then all verdicts as one event
5. seal     finished segments become Parquet

The boundary of an investigation, `_investigate`, is the one place that catches everything.
"""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import BudgetReached, HubelError, UsageError
from ...tools.index import Index
from ...tools.subject.address import parse_targets
from ..explainers import make_explainer
from ..explainers.protocol import Hypothesis
from ..investigation.sentence_scores import failed_scores
from ..investigation.verify import decide_run, score_the_sentence
from ..runlog.config import RunConfig, versions
from ..runlog.layout import CHECKPOINTS, CONFIG, LEXICON
from ..runlog.lexicon import freeze
from ..runlog.log import RunLog, WriterLock, seal
from ..runlog.progress import Reporter
from ..runlog.stopping import Stopped
from .resources import RunResources

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject import Subject
    from ..investigation.context import InvestigationContext
    from ..llm import LanguageModel
    from ..llm.budget import BudgetLimits

STOP_POLL_S = 0.2


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    folder: Path
    done: int
    failed: int
    pending: int
    budget: str = ""
    """Which limit was reached, in a sentence; "" when none was."""
    failed_scores: int = 0
    """Scores of sentences that failed, beside verdicts that stand."""


def resolve(config: RunConfig) -> RunConfig:
    """Fill in what a configuration leaves open: the targets one by one, and hashes and versions of
    what is there.

    Raises:
        UsageError: the index or a target is not there.
    """
    index = Index.open(Path(config.index))
    units = parse_targets(",".join(config.targets), index.shape) if not config.nulls else None
    return replace(
        config,
        targets=[str(u) for u in units] if units is not None else config.targets,
        subject={
            "name": index.subject_name,
            "title": index.subject_title,
            "revision": index.subject_revision,
        },
        corpus={"name": index.corpus_name, "sha256": index.corpus_sha256},
        versions=versions(),
    )


def make_run(folder: Path, config: RunConfig) -> None:
    """Write the configuration of a new run.

    Raises:
        UsageError: there is a run of that name, or the explainer or the index is not there.
    """
    if (folder / CONFIG).exists():
        raise UsageError(
            f"there is a run at {folder}: `hubel resume {folder.name}` goes on with it; or give another --name"
        )
    make_explainer(config.explainer, config)
    Index.open(Path(config.index))
    config.save(folder)


def execute_run(
    folder: Path,
    *,
    reporter: Reporter | None = None,
    subject: Subject | None = None,
    model: LanguageModel | None = None,
    limits: BudgetLimits | None = None,
) -> RunResult:
    """Take a run from wherever it stands to its end. Safe to interrupt at any point and to call
    again.

    Args:
        folder: of a run that `make_run` made.
        reporter: told how far it is.
        subject: the loaded subject, if the caller has it; else it is loaded when it is first needed.
        model: the language model that explains, if the caller has it; else it is made by its name.
        limits: of what it may take, in the place of those in the configuration.
    """
    reporter = reporter or Reporter()
    config = RunConfig.load(folder)
    with (
        WriterLock(folder),
        closing(RunLog(folder)) as log,
        closing(RunResources(folder, config, log, reporter, subject, model, limits)) as workshop,
    ):
        pending = [t for t in config.targets if log.get("conclusion", t) is None]
        unscored = [
            t for t in config.targets if (log.get("conclusion", t) or {}).get("failed_scores")
        ]
        budget = ""
        if pending or unscored:
            room = workshop.room()
            retry_failed_scores(room, unscored, reporter)
            if pending:
                investigate_all(room, pending, reporter)
            budget = room.budget_reached
        else:
            reporter.say(f"{folder.name} is done already; nothing is computed again")
        done = sum(log.get("conclusion", t) is not None for t in config.targets)
        failed = sum(_failed(log, t) for t in config.targets)
        if done + failed == len(config.targets) and (
            pending or unscored or not _is_closed(folder, log)
        ):
            _close(folder, config, log, workshop.lexicon())
        missing = sum(
            (log.get("conclusion", t) or {}).get("failed_scores", 0) for t in config.targets
        )
    return RunResult(folder, done, failed, len(config.targets) - done - failed, budget, missing)


def _is_closed(folder: Path, log: RunLog) -> bool:
    return log.get("verdicts") is not None and (folder / LEXICON).is_dir()


def _close(folder: Path, config: RunConfig, log: RunLog, lexicon: Lexicon) -> None:
    """Verdicts, what a replay needs, and sealed segments. Killed anywhere in here, it is simply done again."""
    decide_run(folder, config, log, lexicon)
    proposed = [p for t in config.targets for p in _predicates(log, t)]
    freeze(folder, lexicon, proposed)
    log.close()
    seal(folder)


def _predicates(log: RunLog, target: str) -> list[str]:
    """All that a replay runs: the hypotheses, and those of a competitor."""
    hypotheses = list(log.all("hypothesis", target).values())
    for call in log.all("explainer_call", target).values():
        hypotheses += call["answer"]["hypotheses"] if call["request"].get("competitor") else []
    return [h["predicate"] for h in hypotheses if h["predicate"]]


def _failed(log: RunLog, target: str) -> bool:
    return log.get("failure", target) is not None and log.get("conclusion", target) is None


def investigate_all(room: InvestigationContext, targets: Sequence[str], reporter: Reporter) -> None:
    """Investigate targets side by side; returns when all have ended, raises KeyboardInterrupt when asked to stop."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    from ..investigation.loop import build_graph

    total, ended = len(targets), 0
    with ExitStack() as stack:
        database = stack.enter_context(closing(_checkpoints(room.folder)))
        graph = build_graph(room, SqliteSaver(database))
        stack.callback(
            lambda: room.log.write("load", room.load.summary(min(total, room.config.concurrency)))
        )
        pool = ThreadPoolExecutor(max_workers=max(1, room.config.concurrency))
        running = {pool.submit(_investigate, graph, room, target) for target in targets}
        reporter.update("explain", 0, total, unit="targets")
        try:
            while running:
                done, running = wait(running, timeout=STOP_POLL_S, return_when=FIRST_COMPLETED)
                ended += len(done)
                if done:
                    reporter.update(
                        "explain",
                        ended,
                        total,
                        unit="targets",
                        note=_failures_note(room.log, targets),
                    )
                _raise_defects(done)
        except BaseException:
            room.stopped.set()
            reporter.say("stopping when what is in flight is done; interrupt again to stop now")
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


def _checkpoints(folder: Path) -> sqlite3.Connection:
    """Where the graphs' states go. A commit does not wait for the disk, no more than the log's
    lines do: a process that is killed loses nothing, and what a power cut takes is done again from
    the journal. Waiting for it, under the lock that all investigations share, cost more than all
    else that they do between two requests."""
    database = sqlite3.connect(folder / CHECKPOINTS, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    return database


def retry_failed_scores(
    room: InvestigationContext, targets: Sequence[str], reporter: Reporter
) -> None:
    """Ask again for scores of sentences that failed; verdicts do not rest on them."""
    for number, target in enumerate(targets):
        conclusion = room.log.get("conclusion", target) or {}
        winner = (room.log.get("hypothesis", target, conclusion["hypothesis"]) or {}).items()
        names = Hypothesis.__dataclass_fields__
        try:
            score_the_sentence(room, target, Hypothesis(**{k: v for k, v in winner if k in names}))
        except BudgetReached as reached:
            room.budget_reached = str(reached)
            return
        again = conclusion | {"failed_scores": failed_scores(room.log, target)}
        room.log.write("conclusion", again, target=target)
        reporter.update("score again", number + 1, len(targets), unit="targets")


def _raise_defects(done: set[Future[None]]) -> None:
    for future in done:
        future.result()


def _failures_note(log: RunLog, targets: Sequence[str]) -> str:
    failed = sum(_failed(log, t) for t in targets)
    return f"{failed} failed" if failed else ""


def _investigate(graph: Any, room: InvestigationContext, target: str) -> None:
    """One investigation, from where its checkpoint left it. Whatever goes wrong becomes a failure of this target."""
    thread = {"configurable": {"thread_id": target}, "recursion_limit": 1000}
    if room.explainer.converses and (failure := room.log.get("failure", target)):
        room.log.write(
            "retry",
            {"failure": failure["error"]},
            target=target,
            id=str(_retries(room, target) + 1),
        )
    try:
        room.check_budget(target)
        started = graph.get_state(thread).next
        graph.invoke(None if started else {"target": target}, thread, durability="sync")
    except Stopped:
        return
    except BudgetReached as reached:  # the target stays pending
        room.budget_reached = str(reached)
    except Exception as error:  # noqa: BLE001 - the boundary of an investigation
        room.log.write("failure", failure_of(error), target=target)


def _retries(room: InvestigationContext, target: str) -> int:
    return len(room.log.all("retry", target))


def failure_of(error: Exception) -> dict[str, str]:
    """A failure as it is logged: one readable line, and the traceback for whoever mends it."""
    line = str(error) if isinstance(error, HubelError) else f"{type(error).__name__}: {error}"
    return {
        "error": " ".join(line.split()),
        "kind": type(error).__name__,
        "traceback": traceback.format_exc(),
    }
