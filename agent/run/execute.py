"""Runs: many investigations under one configuration, from the first forward pass to the verdicts.

1. make     write the configuration and the resolved targets, before anything is computed
2. collect  the targets' activations at every token, once (a resumed run finds them there)
3. explain  investigate every target in its own LangGraph thread, many side by side;
            each ends as a conclusion or a failure in the log
   Of very many targets, steps 2 and 3 take one part after another (`RunConfig.parts`).
4. compare  explain rotated directions of the targets' layers, which mean nothing; once for an index
5. decide   when the last target has ended: the floors *other* and *rotated*, then all verdicts as
            one event
6. seal     finished segments of the log become Parquet

With an engine (`engine`), workers collect and investigate; this process alone writes the log
(`investigate_on_engine`).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...evals.judge.protocol import AnswerPending
from ...evals.score import DEFINITIONS
from ...evals.statistics.resampling import CURRENT
from ...tools.errors import BudgetReached, UsageError
from ...tools.index import Collected, Index
from ...tools.subject.address import Unit, parse_targets
from ..explainers import make_explainer
from ..explainers.protocol import Hypothesis
from ..investigation.conclude import decide_run
from ..investigation.sentence_scores import count_failed_scores
from ..investigation.verify import collected_texts, rescore_sentence
from ..runlog.config import RunConfig, versions
from ..runlog.data_files import check_folder, record_inputs
from ..runlog.layout import COLLECTED, CONFIG, LEXICON, PIECES, run_argument
from ..runlog.lexicon import freeze_lexicon
from ..runlog.log import RunLog, WriterLock
from ..runlog.model_config import BudgetConfig
from ..runlog.progress import Reporter
from ..runlog.target_counts import EndedTargets, count_targets
from .collect_piece import collect_on_engine
from .investigate import investigate_all
from .investigate_on_engine import investigate_on_engine
from .provisional import EXPLANATION
from .remote_instruments import RemoteInstruments
from .resources import RunResources
from .similar_units import record_neighbours

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject import Subject
    from ..engine import Engine
    from ..investigation.context import InvestigationContext
    from ..investigation.drivers import ExplainerDriver
    from ..llm import LanguageModel
    from ..llm.meter import Checks


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    folder: Path
    done: int
    failed: int
    pending: int
    budget: str = ""
    """Which limit was reached, in a sentence; "" if none was."""
    failed_scores: int = 0
    """Scores of sentences that failed; the verdicts do not rest on them."""


def resolve(config: RunConfig) -> RunConfig:
    """Fill in what a configuration leaves open: the targets one by one, hashes and versions.

    Raises:
        UsageError: the index or a target does not exist.
    """
    index = Index.open(Path(config.index))
    targets = config.targets
    if not config.nulls:
        targets = [str(unit) for unit in parse_targets(",".join(targets), index.shape)]
    used = {unit.name for unit in map(Unit.parse, targets) if unit.site == "sae"}
    shapes = index.shape.dictionaries
    return replace(
        config,
        targets=targets,
        dictionaries={name: str(shapes[name].reads) for name in sorted(used)},
        subject={
            "name": index.subject_name,
            "title": index.subject_title,
            "revision": index.subject_revision,
        },
        corpus={"name": index.corpus_name, "sha256": index.corpus_sha256},
        intervals=CURRENT.to_settings(),
        definitions=DEFINITIONS,
        versions=versions(),
    )


def check_new_run(folder: Path, config: RunConfig) -> None:
    """Check what does not need the index.

    Raises:
        UsageError: there is a run of that name, or the explainer does not exist.
    """
    if (folder / CONFIG).exists():
        raise UsageError(
            f"there is a run at {folder}: `hubel resume {run_argument(folder)}` goes on with it; "
            "or give another --name"
        )
    make_explainer(config.explainer.name, config)


def make_run(folder: Path, config: RunConfig, checks: Checks | None = None) -> None:
    """Write the configuration of a new run.

    Args:
        checks: requests that checked its models, which belong to its cost.

    Raises:
        UsageError: there is a run of that name, or the explainer or the index does not exist.
    """
    check_new_run(folder, config)
    Index.open(Path(config.index))
    config.save(folder)
    if checks is not None:
        with closing(RunLog(folder)) as log:
            checks.write_to(log)


def execute_run(
    folder: Path,
    *,
    reporter: Reporter | None = None,
    subject: Subject | None = None,
    model: LanguageModel | None = None,
    limits: BudgetConfig | None = None,
    engine: Engine | None = None,
) -> RunResult:
    """Take a run from wherever it is to its end. It may be interrupted at any point and called again.

    Args:
        folder: of a run that `make_run` made.
        reporter: shows the progress.
        subject: the loaded subject, if the caller has it; otherwise it is loaded when needed.
        model: the language model that explains, if the caller has it; otherwise made by its name.
        limits: of what the run may cost, instead of those in the configuration.
        engine: whose workers collect and investigate, instead of threads of this process. Results do
            not depend on it.
    """
    reporter = reporter or Reporter()
    config = RunConfig.load(folder)
    with WriterLock(folder), closing(RunLog(folder)) as log, ExitStack() as stack:
        chunks = None if engine is None else partial(collect_on_engine, engine, log, reporter)
        resources = RunResources(folder, config, log, reporter, subject, model, limits, chunks)
        stack.callback(resources.close)
        record_inputs(log)
        pending = [t for t in config.targets if not log.has("conclusion", t)]
        unscored = [t for t in config.targets if _failed_scores(log, t)]
        budget = ""
        if pending or unscored:
            with resources.clock.recorded(log):
                driver = resources.driver()
                if engine is not None:
                    driver.context.instruments.elsewhere = RemoteInstruments(engine, log)
                retry_failed_scores(driver.context, unscored, reporter)
                if pending:
                    _investigate_in_parts(driver, resources, pending, reporter, engine)
                    resources.record_late_failures()
                budget = driver.context.budget_reached
                if not count_targets(log, config.targets).pending:
                    with resources.clock.phase("controls"):
                        resources.record_rotated()
                    with resources.clock.phase("verdicts"):
                        _decide(folder, config, log, resources.lexicon())
        else:
            reporter.say(f"{folder.name} is done already; nothing is computed again")
        counts = count_targets(log, config.targets)
        is_decided = log.has("verdicts") and (folder / LEXICON).is_dir()
        if not counts.pending and not is_decided:  # killed while it decided, or just before
            for part in config.parts:
                resources.record_neighbours(part)
            resources.record_rotated()
            _decide(folder, config, log, resources.lexicon())
        if not counts.pending:  # also of a run that was killed just before this
            shutil.rmtree(folder / PIECES, ignore_errors=True)  # what an engine's workers left
            log.seal()
        failed_scores = sum(_failed_scores(log, t) for t in config.targets)
    return RunResult(folder, *counts, budget, failed_scores)


def add_neighbours(folder: Path, reporter: Reporter) -> None:
    """Record the nearest units of a run that was made before they were recorded. Loads the subject.

    Raises:
        CorruptError: the run's activations are missing.
        UsageError: the run is being written, or the subject has other weights than the run's.
    """
    config = RunConfig.load(folder)
    with (
        WriterLock(folder),
        closing(RunLog(folder)) as log,
        closing(RunResources(folder, config, log, reporter, None, None, None)) as resources,
    ):
        check_folder(folder, COLLECTED)
        explore = Collected.open(folder / COLLECTED, "explore")
        for part in config.parts:
            record_neighbours(config, part, log, resources.subject, explore, reporter)
        if log.has("verdicts"):
            log.seal()


def _decide(folder: Path, config: RunConfig, log: RunLog, lexicon: Lexicon) -> None:
    """Verdicts, and what a replay needs. If killed in here, it is done again."""
    decide_run(folder, config, log, lexicon)
    predicates = [p for target in config.targets for p in _predicates(log, target)]
    freeze_lexicon(log, lexicon, predicates, collected_texts(folder))


def _predicates(log: RunLog, target: str) -> list[str]:
    """All predicates that a replay runs: the hypotheses', and those of a competitor."""
    hypotheses = list(log.all("hypothesis", target).values())
    for call in log.all("explainer_call", target).values():
        if call["request"].get("competitor"):
            hypotheses += call["answer"]["hypotheses"]
    return [h["predicate"] for h in hypotheses if h["predicate"]]


def _failed_scores(log: RunLog, target: str) -> int:
    conclusion = log.get("conclusion", target) or {}
    return conclusion.get("failed_scores", 0)


def _investigate_in_parts(
    driver: ExplainerDriver,
    resources: RunResources,
    pending: Collection[str],
    reporter: Reporter,
    engine: Engine | None,
) -> None:
    """Collect and investigate the pending targets of one part after another.

    Targets that wait for a batch of answers go on in a further pass, when all parts have had theirs.
    """
    context = driver.context
    if len(pending) > 1:
        reporter.say(EXPLANATION)
    wanted, ended = set(pending), EndedTargets(context.log, len(pending))
    while wanted:
        for number, part in enumerate(context.config.parts):
            targets = [target for target in part if target in wanted]
            if targets and context.judges.is_full:
                context.wait_for_batch(*targets)
            elif targets and not context.budget_reached:
                if number:  # the driver came with the first part
                    resources.collect(number)
                with resources.clock.phase("explain"):
                    record = partial(resources.record_neighbours, part)
                    if engine is None or context.config.asks_language_models:
                        investigate_all(driver, targets, reporter, ended, record)
                        continue
                    left_out = resources.left_out()
                    investigate_on_engine(
                        engine, context, targets, reporter, ended, left_out, record
                    )
        wanted = _settle_batches(context)


def _settle_batches(context: InvestigationContext) -> set[str]:
    """Wait for the answers that judges give in batches; returns the targets that waited for them.

    They go on where they were. An answer may raise another question, which is in the next batch.
    """
    waiting = context.take_waiting()
    if not waiting or context.judges.desk is None:
        return set()
    try:
        with context.clock.phase("batches"):
            context.judges.desk.settle()
    except BudgetReached as reached:  # the targets stay pending
        context.budget_reached = str(reached)
        return set()
    return waiting


def retry_failed_scores(
    context: InvestigationContext, targets: Sequence[str], reporter: Reporter
) -> None:
    """Ask again for scores of sentences that failed; verdicts do not rest on them."""
    log, waiting = context.log, list[str]()
    try:
        for number, target in enumerate(targets, 1):
            conclusion = log.get("conclusion", target) or {}
            winner = log.get("hypothesis", target, conclusion["hypothesis"]) or {}
            try:
                rescore_sentence(context, context.units[target], Hypothesis.from_json(winner))
            except AnswerPending:
                waiting.append(target)
                continue
            failed_scores = count_failed_scores(log, target)
            log.write("conclusion", conclusion | {"failed_scores": failed_scores}, target=target)
            reporter.update("score again", number, len(targets), unit="targets")
        if waiting:
            assert context.judges.desk is not None
            context.judges.desk.settle()
            retry_failed_scores(context, waiting, reporter)
    except BudgetReached as reached:
        context.budget_reached = str(reached)
