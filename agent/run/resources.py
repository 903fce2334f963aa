"""The workshop of a run: the subject, the index, the collected activations and the clients, each
made when it is first needed, so that a run that is done loads nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.index import Collected, Index, collect
from ...tools.subject.address import Unit
from ..explainers import make_explainer
from ..investigation.context import InvestigationContext
from ..llm.journaled_model import JournaledModel
from ..llm.paid_calls import cost_of
from ..llm.retry import Patience
from ..llm.sentence_judges import make_readers
from ..runlog.config import RunConfig
from ..runlog.layout import COLLECTED
from ..runlog.lexicon import subject_lexicon
from ..runlog.log import RunLog
from ..runlog.nulls import artificial_units
from ..runlog.progress import Reporter
from ..runlog.run_subject import open_run_subject, weights_of
from .similar_units import record_neighbours

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject import Subject
    from ..explainers.protocol import Explainer
    from ..llm import Client, LanguageModel, ModelSettings
    from ..llm.budget import Budget, BudgetLimits


class RunResources:
    """Makes what a room needs when it is needed: a run that is done loads no subject."""

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        log: RunLog,
        reporter: Reporter,
        subject: Subject | None,
        model: LanguageModel | None,
        limits: BudgetLimits | None,
    ) -> None:
        self._folder, self._config, self._log, self._reporter = folder, config, log, reporter
        self._subject, self._model = subject, model
        self._limits = limits
        self._patience = Patience(config.patience)
        self._client: Client | None = None
        self._budget: Budget | None = None
        self._index: Index | None = None

    def subject(self) -> Subject:
        """The subject with the weights that the run was made with; UsageError when they are others."""
        if self._subject is None:
            self._reporter.say(f"loading {self._config.subject['name']}")
            self._subject = open_run_subject(self._folder, self._config)
        self._subject.require_revision(
            self._config.subject["revision"], f"the run {self._folder.name!r}"
        )
        return self._subject

    def index(self) -> Index:
        """The run's index."""
        if self._index is None:
            self._index = Index.open(Path(self._config.index))
        return self._index

    def lexicon(self) -> Lexicon:
        """What is known of the subject's vocabulary."""
        return subject_lexicon(self.subject, weights_of(self._config.subject["revision"]))

    def _collect(self, out: Path) -> None:
        config, subject = self._config, self.subject()
        collect(
            subject,
            self.index(),
            [Unit.parse(t) for t in config.targets if t not in config.nulls],
            out,
            max_contexts=config.max_contexts,
            seed=config.seed,
            extra=artificial_units(config.nulls, subject, config.seed),
            progress=self._reporter,
        )

    def room(self) -> InvestigationContext:
        """The room of the investigations, with everything in it; collects the activations if they are not there."""
        from ...tools.instruments import InstrumentContext

        explainer = make_explainer(self._config.explainer, self._config)
        asker = (
            self._asker(explainer) if explainer.converses else None
        )  # a key that lacks is found out first
        readers = make_readers(self._config, self._log, self._patience, self.budget())
        data = self._folder / COLLECTED
        self._collect(data)
        explore, select = (Collected.open(data, split) for split in ("explore", "select"))
        record_neighbours(self._config, self._log, self.subject, explore, self._reporter)
        self._log.write("explainer", identity_of(explainer))
        return InvestigationContext(
            self._folder,
            self._config,
            self._log,
            explainer=explainer,
            explore=explore,
            select=select,
            lexicon=self.lexicon(),
            bench=InstrumentContext(subject=self.subject, index=self.index()),
            asker=asker,
            readers=readers,
            stopped=self._patience.stopped,
        )

    def close(self) -> None:
        """Let go of what was opened here."""
        if self._client is not None:
            self._client.close()

    def _asker(self, explainer: Explainer) -> JournaledModel:
        from ..llm import make_model
        from ..llm.prices import price_from

        config = self._config
        if self._model is None:
            self._model = self._client = make_model(
                explainer.name, settings_of(config), self._patience
            )
        return JournaledModel(
            self._log, explainer.name, self._model, self.budget(), price_from(config.price)
        )

    def budget(self) -> Budget:
        """What is left for language models: the explaining, the simulating and the judging ones."""
        from ..llm.budget import Budget, BudgetLimits

        config, log = self._config, self._log
        if self._budget is None:
            limits = (self._limits or BudgetLimits()).over(
                BudgetLimits(config.budget, config.target_budget)
            )
            paid = [
                (t, cost_of(row)) for t in config.targets for row in log.all("llm_call", t).values()
            ]
            self._budget = Budget(limits, paid)
        return self._budget


def settings_of(config: RunConfig) -> ModelSettings:
    """How a run's language model is asked."""
    from ..llm import ModelSettings

    return ModelSettings(
        base_url=config.base_url, effort=config.effort, thinking=config.thinking, tools=config.tools
    )


def identity_of(explainer: Explainer) -> dict[str, Any]:
    """What a log says of the mind that made it."""
    names = ("name", "version", "revises", "converses", "moves_a_round")
    return {name: getattr(explainer, name) for name in names}
