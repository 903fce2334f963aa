"""What a run works with: the subject, the index, the collected activations and the clients.

Each is made when it is first needed, so a run that is done loads nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.corpus import Split
from ...tools.dissection import TextView
from ...tools.dissection.search import shared_candidates
from ...tools.errors import HubelError, UsageError
from ...tools.index import Collected, Index, collect
from ...tools.index.activation_store.source import open_stored_source
from ...tools.index.collect_pass import CollectedChunk, collect_chunk
from ...tools.instruments import InstrumentContext
from ...tools.subject.address import Unit
from ..controls.rotated import RotatedControls, missing_groups
from ..controls.subject_check import check_subject
from ..explainers import make_explainer
from ..explainers.compositional import Compositional
from ..investigation.context import InvestigationContext
from ..investigation.drivers import DialogueDriver, ExplainerDriver
from ..investigation.split_data import SplitData
from ..llm import make_model
from ..llm.budget import Budget
from ..llm.journaled_model import JournaledModel
from ..llm.prices import price_from
from ..llm.retry import Patience
from ..llm.sentence_judges import SentenceJudges, make_sentence_judges
from ..runlog import subject_warning
from ..runlog.config import RunConfig
from ..runlog.data_files import keep_recorded_files, record_file
from ..runlog.events import LEFT_OUT
from ..runlog.layout import COLLECTED
from ..runlog.lexicon import subject_lexicon
from ..runlog.log import RunLog
from ..runlog.model_config import UNLIMITED, BudgetConfig
from ..runlog.nulls import artificial_units
from ..runlog.phases import RunClock
from ..runlog.progress import Reporter
from ..runlog.run_subject import open_run_subject, weights_of
from ..runlog.spending import spent_before
from .similar_units import record_neighbours

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject import Subject
    from ...tools.subject.nulls import ArtificialUnit
    from ..explainers.protocol import Explainer
    from ..llm import Client, LanguageModel


MakeChunks = Callable[[int, Split], list[CollectedChunk]]
"""Has the chunks of a part and a split collected."""
WITHOUT_TAGGER = "without concepts of lemmas, grammar and names"


class RunResources:
    """Makes what a run's investigations need, when they need it.

    Args:
        subject: the loaded subject, if the caller has it.
        model: the language model that explains, if the caller has it.
        limits: override the configuration's.
        chunks: has other processes collect; None to collect here.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        log: RunLog,
        reporter: Reporter,
        subject: Subject | None,
        model: LanguageModel | None,
        limits: BudgetConfig | None,
        chunks: MakeChunks | None = None,
    ) -> None:
        self._folder, self._config, self._log, self._reporter = folder, config, log, reporter
        self._subject, self._model = subject, model
        self._limits, self._chunks = limits, chunks
        self.clock = RunClock()
        self._patience = Patience(config.patience)
        self._client: Client | None = None
        self._budget: Budget | None = None
        self._index: Index | None = None
        self._lexicon: Lexicon | None = None
        self._lexicon_lock = threading.Lock()
        self._search_cache: dict[str, Any] = {}
        self._head_start: threading.Thread | None = None

    def subject(self) -> Subject:
        """The subject; raises UsageError if its weights are not those that the run was made with."""
        if self._subject is None:
            self._reporter.say(f"loading {self._config.subject['name']}")
            with self.clock.phase("load the subject"):
                self._subject = open_run_subject(self._folder, self._config, self._reporter.say)
        self._subject.require_revision(
            self._config.subject["revision"], f"the run {self._folder.name!r}"
        )
        return self._subject

    def index(self) -> Index:
        """The index that the run's configuration names, opened once.

        Raises:
            UsageError: the folder holds an index of another text or subject now.
        """
        if self._index is None:
            config, index = self._config, Index.open(Path(self._config.index))
            made_with = config.corpus["sha256"], config.subject["revision"]
            if (index.corpus_sha256, index.subject_revision) != made_with:
                raise UsageError(
                    f"{config.index} is now an index of {index.corpus_name} and "
                    f"{index.subject_title}, not the one that the run {self._folder.name!r} was made "
                    f"with ({config.corpus['name']}, {config.subject['title']}): put that one back"
                )
            if index.note:
                self._reporter.say(index.note)
            self._index = index
        return self._index

    def lexicon(self) -> Lexicon:
        """The subject's lexicon: its tokens, and what concepts need to know about them."""
        with self._lexicon_lock:
            if self._lexicon is None:
                revision = weights_of(self._config.subject["revision"])
                self._lexicon = subject_lexicon(self.subject, revision, self._reporter.say)
            return self._lexicon

    def driver(self) -> ExplainerDriver:
        """The driver of the run's explainer; collects the first part's activations unless they are there."""
        config, log = self._config, self._log
        explainer = make_explainer(config.explainer.name, config)
        # The clients come first, so that a missing API key fails before a subject is loaded.
        model = self._journaled_model() if explainer.converses else None
        judges = make_sentence_judges(config, log, self._patience, self.budget(), self._reporter)
        searches = isinstance(explainer, Compositional) or (
            explainer.converses and config.competitor
        )
        with self.clock.phase("controls"):
            self.check_subject()
        keep_recorded_files(log, COLLECTED, self._reporter.say)
        self.collect(0, self._prepare_search if searches else lambda: None)
        log.write("explainer", identity_of(explainer))
        context = self.context(judges)
        self._say_what_is_left_out(context.data.collected("explore"))
        if model is None:
            return ExplainerDriver(context, explainer)
        return DialogueDriver(context, explainer, model)

    def worker_driver(self) -> ExplainerDriver:
        """The driver of an engine's worker, which finds everything collected and asks no language model."""
        explainer = make_explainer(self._config.explainer.name, self._config)
        if isinstance(explainer, Compositional):
            self._build_candidates()
        return ExplainerDriver(self.context(), explainer)

    def context(self, judges: SentenceJudges | None = None) -> InvestigationContext:
        """What the steps of the investigations work with; the first part is collected."""
        folder = self._folder / COLLECTED
        explore, select = (Collected.open(folder, split) for split in ("explore", "select"))
        if (
            self._config.suite
        ):  # planted units take values from the store, as where it was collected
            open_stored_source(self.subject(), self.index())
        return InvestigationContext(
            self._folder,
            self._config,
            self._log,
            data=SplitData(explore, select, self.lexicon(), self._search_cache),
            instrument_context=InstrumentContext(subject=self.subject, index=self.index()),
            judges=judges,
            stopped=self._patience.stopped,
            clock=self.clock,
            say=self._reporter.say,
        )

    def _say_what_is_left_out(self, explore: Collected) -> None:
        """Say which families of concepts mean nothing on this text or cannot be had here, and log it."""
        tagger_problem = self._tagger_problem(explore)
        for line in tagger_problem:
            self._reporter.say(line)
        if self._head_start is not None:
            self._head_start.join()  # it loads the lexica, and the first search waits for it anyway
        self._log_left_out(
            tagger_problem + self._missing_lexica()
        )  # each says itself what is missing

    def left_out(self) -> list[str]:
        """The families of concepts that cannot be had in this process, as far as is known, and why."""
        explore = Collected.open(self._folder / COLLECTED, "explore")
        return self._tagger_problem(explore) + self._missing_lexica()

    def _tagger_problem(self, explore: Collected) -> list[str]:
        text = TextView(explore.tokens, explore.length, self.lexicon())
        return [f"{WITHOUT_TAGGER}: {text.annotation_problem}"] if text.annotation_problem else []

    def _missing_lexica(self) -> list[str]:
        lexica = self.lexicon().lexica
        return [] if lexica is None else list(lexica.missing)

    def record_late_failures(self) -> None:
        """Log the lexica that could not be loaded when something first asked for them in the end."""
        self._log_left_out(self._missing_lexica())

    def _log_left_out(self, reasons: Sequence[str]) -> None:
        # what an earlier start of this run had to leave out is still missing in what it explained
        logged = (self._log.get(LEFT_OUT) or {"reasons": []})["reasons"]
        if new := [line for line in reasons if line not in logged]:
            self._log.write(LEFT_OUT, {"reasons": [*logged, *new]})

    def record_neighbours(self, targets: Sequence[str]) -> None:
        """Write the nearest units of targets whose log has none. No investigation waits for them.

        Args:
            targets: of one part, which are compared with each other.
        """
        explore = Collected.open(self._folder / COLLECTED, "explore")
        with self.clock.step("nearest units"):
            record_neighbours(
                self._config, targets, self._log, self.subject, explore, self._reporter
            )

    def check_subject(self) -> None:
        """Say at the top of the run if its subject knows nothing of the text, and log the comparison."""
        config, log = self._config, self._log
        if log.get(subject_warning.EVENT) is None:
            try:
                check = check_subject(self.subject(), self.index())
            except (HubelError, OSError) as error:
                self._reporter.say(f"whether the subject knows this text is not known: {error}")
                return
            if check is not None:
                log.write(subject_warning.EVENT, check._asdict())
        names = config.subject["name"], config.corpus["name"]
        if line := subject_warning.warning_of(log.get(subject_warning.EVENT), *names):
            self._reporter.say(f"warning: {line}")

    def record_rotated(self) -> None:
        """Explain rotated directions of the targets' layers, for comparison, unless the log has them.

        If that fails, the floor *rotated* is not known. No verdict depends on it.
        """
        config = self._config
        explainer = make_explainer(config.explainer.name, config)
        planned = missing_groups(config, explainer, self._log)
        if not planned:
            return
        try:
            controls = RotatedControls(
                config,
                explainer,
                self.subject(),
                self.index(),
                self.lexicon(),
                self._reporter,
                self._search_cache,
            )
            controls.record(planned, self._log)
        except (HubelError, OSError) as error:
            self._reporter.say(
                f"rotated directions could not be explained, so that floor is not known: {error}"
            )

    def collect(self, part: int, explore_is_there: Callable[[], None] = lambda: None) -> None:
        """Write the activations of a part's targets, artificial ones included, into the run's folder.

        Args:
            explore_is_there: called when those on explore are complete.

        Raises:
            CorruptError: a file that was collected before has changed since.
        """
        subject, config, chunks = self.subject(), self._config, self._chunks
        units, extra = self._columns(part)

        def written(path: Path) -> None:
            record_file(self._log, f"{COLLECTED}/{path.name}")
            if path.stem == "explore":
                explore_is_there()

        with self.clock.phase("collect"):
            collect(
                subject,
                self.index(),
                units,
                self._folder / COLLECTED,
                max_contexts=config.max_contexts,
                seed=config.seed,
                extra=extra,
                part=part,
                chunks=partial(chunks, part) if chunks else None,
                progress=self._reporter,
                written=written,
                say=self._reporter.say,
            )
        explore_is_there()  # perhaps from an earlier process

    def collect_chunk(self, part: int, split: Split, chunk: CollectedChunk) -> None:
        """Write one file of `collect`, which another process puts together."""
        subject, config = self.subject(), self._config
        units, extra = self._columns(part)
        collect_chunk(
            subject,
            self.index(),
            units,
            split,
            chunk,
            max_contexts=config.max_contexts,
            seed=config.seed,
            extra=extra,
        )

    def _columns(self, part: int) -> tuple[list[Unit], list[ArtificialUnit]]:
        """The real targets of a part, and the artificial ones."""
        targets, nulls = self._config.parts[part], self._config.nulls
        real = [Unit.parse(target) for target in targets if target not in nulls]
        made = {target: nulls[target] for target in targets if target in nulls}
        return real, artificial_units(made, self.subject(), self._config.seed)

    def _prepare_search(self) -> None:
        """Build what all formula searches share on a thread, while the rest is collected and loaded.

        The first search waits for it. If it fails, that search meets the same error and reports it.
        """
        if self._head_start is None:
            self._head_start = threading.Thread(target=self._build_candidates, daemon=True)
            self._head_start.start()

    def _build_candidates(self) -> None:
        with suppress(HubelError, OSError):
            explore = Collected.open(self._folder / COLLECTED, "explore")
            shared_candidates(
                explore.tokens,
                explore.length,
                explore.group,
                explore.mask,
                self.lexicon(),
                self._config.seed,
                self._search_cache,
            )

    def _journaled_model(self) -> JournaledModel:
        """The language model that explains, with its journal and the run's budget."""
        explainer = self._config.explainer
        if self._model is None:
            self._model = self._client = make_model(explainer, self._patience)
        price = price_from(explainer.price)
        return JournaledModel(self._log, explainer.name, self._model, self.budget(), price)

    def close(self) -> None:
        """Close the connections that were opened here."""
        if self._client is not None:
            self._client.close()

    def budget(self) -> Budget:
        """What is left for language models: the explainer, the simulator and the judge together."""
        config, log = self._config, self._log
        if self._budget is None:
            limits = (self._limits or UNLIMITED).or_else(config.budget)
            self._budget = Budget(limits, spent_before(log, config.targets))
        return self._budget


def identity_of(explainer: Explainer) -> dict[str, Any]:
    """What the log records of the explainer."""
    names = ("name", "version", "revises", "converses", "moves_a_round")
    return {name: getattr(explainer, name) for name in names}
