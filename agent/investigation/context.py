"""The room in which the investigations of one run work: its log, its journal, its data, its
instruments.

Every answer that costs something, an explainer's move or an instrument's result, goes through the
journal: it is written under the hash of its request before it is used, and a request that was
answered before is not asked again. That is all there is to resuming and to replaying. Nothing in
here can read holdout; `agent.investigation.verify` can.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import ArgumentError, CorruptError, UsageError
from ...tools.subject.address import Side, Unit
from ..explainers.predictions import Reading, Thresholds
from ..explainers.protocol import (
    Call,
    Conversation,
    Explainer,
    ExploreData,
    ExploreFit,
    GradedPredicate,
    Hypothesis,
    InvestigationView,
    Move,
    ToolAnswer,
    Turn,
)
from ..llm.journaled_model import reply_of
from ..llm.sentence_judges import SentenceJudges
from ..runlog.bottleneck import WaitTimes
from ..runlog.config import RunConfig
from ..runlog.journal import Journal
from ..runlog.lexicon import predict
from ..runlog.log import Data, RunLog, canonical
from ..runlog.stopping import Stopped
from .sentence_scores import simulate_on_select
from .worst_errors import missed_tokens, worst_misses

if TYPE_CHECKING:
    import numpy as np

    from ...tools.dissection import Lexicon
    from ...tools.index import Collected
    from ...tools.instruments import InstrumentContext, Need
    from ...tools.instruments import Result as InstrumentResult
    from ..llm.conversation import JournaledReply, Request
    from ..llm.journaled_model import JournaledModel, ReplayModel
    from .null_instruments import NullInstruments

MAX_WORDS = 40
OUT_OF_BOUNDS = (UsageError, TypeError, ValueError, OverflowError, RecursionError)
"""What a formula that somebody wrote may raise when it is run: an answer to whom it came from, and no failure."""


class InvestigationContext:
    """What the steps of an investigation work with. One a run, shared by its threads."""

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        log: RunLog,
        *,
        explainer: Explainer,
        explore: Collected,
        select: Collected,
        lexicon: Lexicon,
        bench: InstrumentContext | None,
        asker: JournaledModel | ReplayModel | None = None,
        readers: SentenceJudges | None = None,
        stopped: threading.Event | None = None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.log = log
        self.journal = Journal(log)
        self.explainer = explainer
        self.lexicon = lexicon
        self.load = WaitTimes()
        self.readers = readers or SentenceJudges(config, log, {}, None)
        self.stopped = stopped or threading.Event()
        self.budget_reached = ""
        """Which limit was reached, if one was."""
        self._splits = {"explore": explore, "select": select}
        self._bench = bench
        self._asker = asker
        self._subject_lock, self._index_lock = threading.Lock(), threading.Lock()
        self._cache: dict[str, Any] = {}

    def check_stopped(self) -> None:
        """Raise `Stopped` if the run was asked to stop; called between steps, so that no step is cut short."""
        if self.stopped.is_set():
            raise Stopped

    def check_budget(self, target: str) -> None:
        """Raise `BudgetReached` if no further call is admitted; called before a target costs anything."""
        if self._asker is not None:
            self._asker.admit(target)

    def side(self, target: str) -> Side:
        """The side of the target that is explained."""
        return Unit.parse(target).side

    def seed(self, target: str) -> int:
        """The seed of everything random about a target: from the run's seed and the address, nothing else."""
        return int.from_bytes(
            hashlib.sha256(f"{self.config.seed}:{target}".encode()).digest()[:4], "big"
        )

    # the journal

    def journaled(self, kind: str, target: str, request: Data, answer: Callable[[], Data]) -> Data:
        """The answer to a request, from the journal or computed now."""
        return self.journal.answer(kind, target, request, answer)

    def ask_explainer(self, case: InvestigationView) -> Move:
        """The explainer's next move on a case. Of a language model the reply is journaled, and read anew."""
        if self.explainer.converses:
            return self.explainer.move(case)
        shown = {k: v for k, v in _shown(case).items() if k not in ("explore", "conversation")}
        request = {
            "explainer": self.explainer.name,
            "version": self.explainer.version,
            "case": hashlib.sha256(canonical(shown).encode()).hexdigest(),
        }
        return Move.from_json(
            self.journaled(
                "explainer_call", case.target, request, lambda: self.explainer.move(case).to_json()
            )
        )

    def instrument(self, target: str, name: str, arguments: Data) -> Data:
        """An instrument's result as JSON."""
        return self.journaled(
            "call",
            target,
            {"instrument": name, "arguments": arguments},
            lambda: self._result(target, name, arguments).to_json(),
        )

    def _result(self, target: str, name: str, arguments: Data) -> InstrumentResult:
        from ...tools import instruments

        if self._bench is None:
            raise CorruptError(
                f"the journal holds no answer to {name} {canonical(arguments)[:200]}: this log was changed or cut short"
            )
        artificial = target in self.config.nulls
        with self._in_line(("subject", "index") if artificial else instruments.get(name).needs):
            if artificial:
                return self._doubles(self._bench).call(target, name, arguments)
            return instruments.call(name, arguments, self._bench)

    @contextmanager
    def _in_line(self, needs: Sequence[Need]) -> Iterator[None]:
        """A turn of what an instrument needs: who only looks something up does not stand in line for the subject."""
        with ExitStack() as stack:
            if "subject" in needs:
                stack.enter_context(self.load.turn(self._subject_lock))
            if "index" in needs:
                stack.enter_context(self._index_lock)
            yield

    def consult(self, target: str, name: str, arguments: Data) -> Data:
        """An instrument's `{result, text, error}` for a language model: what is off with the call is an answer too."""
        request = _rendered(name, arguments)
        return self.journaled(
            "call", target, request, lambda: self._consult_instrument(target, name, arguments)
        )

    def consult_all(self, target: str, calls: Sequence[Call]) -> list[Data]:
        """The answers to several calls, which run side by side as far as they do not share the subject."""
        asked = [
            partial(self.consult, target, call.instrument, dict(call.arguments)) for call in calls
        ]
        fresh = sum(
            not self.journal.holds("call", target, _rendered(c.instrument, c.arguments))
            for c in calls
        )
        if fresh < 2:
            return [ask() for ask in asked]
        with ThreadPoolExecutor(max_workers=min(8, fresh)) as pool:
            return list(pool.map(lambda ask: ask(), asked))

    def _doubles(self, bench: InstrumentContext) -> NullInstruments:
        """Of the artificial targets; called with the subject's lock held."""
        from .null_instruments import NullInstruments

        if "doubles" not in self._cache:
            self._cache["doubles"] = NullInstruments(
                self.config, bench, self._splits["explore"], self.lexicon
            )
        return self._cache["doubles"]

    def _consult_instrument(self, target: str, name: str, arguments: Data) -> Data:
        try:
            found = self._result(target, name, arguments)
        except ArgumentError as error:
            return {"result": None, "text": str(error), "error": True}
        return {"result": found.to_json(), "text": found.render(), "error": False}

    # explore and select

    def collected(self, split: str) -> Collected:
        """The run's collected activations on explore or select."""
        return self._splits[split]

    def activations(self, split: str, target: str) -> np.ndarray:
        """A target's raw activations on explore or select, [contexts, seq]."""
        return self._splits[split].activations(Unit.parse(target).unsided)

    def explore_activations(self, target: str) -> np.ndarray:
        """Raw activations at every token of explore that counts, one dimension."""
        return self.activations("explore", target)[self._splits["explore"].mask]

    def thresholds(self, target: str, side: str) -> Thresholds:
        """What counts as firing and as silent."""
        key = f"thresholds:{target}{side}"
        if key not in self._cache:
            self._cache[key] = Thresholds.of(self.explore_activations(target), side)
        return self._cache[key]

    def data(self, split: str, target: str) -> ExploreData:
        """What a split holds of a target."""
        collected = self._splits[split]
        return ExploreData(
            tokens=collected.tokens,
            length=collected.length,
            document=collected.document,
            mask=collected.mask,
            signal=Unit.parse(target).signal(self.activations(split, target)),
            lexicon=self.lexicon,
            cache=self._cache,
        )

    def conversation(self, target: str, moves: Sequence[Move]) -> Conversation:
        """What a language model needs to go on: its earlier replies with what came of them, and
        whom it asks.

        Args:
            moves: all that were made on this target, in order.
        """
        asker = self._asker
        if asker is None:
            raise CorruptError(
                f"{target}: this run's explainer is a language model, and there is nobody to ask"
            )
        found = self.log.get("competitor", target)
        subject = self.config.subject
        return Conversation(
            ask=partial(self._ask, asker, target),
            fit=lambda printed: self.fit(target, printed),
            grade=lambda concepts: self.grade(target, concepts),
            turns=tuple(self._turn(target, move) for move in moves if move.reply),
            competitor=Hypothesis(**{k: v for k, v in found.items() if k != "select"})
            if found
            else None,
            competitor_score=found["select"] if found else None,
            note=self.config.note,
            hidden=tuple(filter(None, (subject.get("title"), subject.get("name")))),
            retries=len(self.log.all("retry", target)),
        )

    def _ask(
        self, asker: JournaledModel | ReplayModel, target: str, request: Request
    ) -> JournaledReply:
        with self.load.of("model"):
            return asker.ask(target, request)

    def _turn(self, target: str, move: Move) -> Turn:
        answers = self.consult_all(target, move.calls)  # in the journal since the move was made
        results = {
            call.id: ToolAnswer(answer["text"], answer["error"])
            for call, answer in zip(move.calls, answers, strict=True)
        }
        return Turn(reply_of(self.log, target, move.reply), results, move.look)

    def fit(self, target: str, printed: str) -> ExploreFit:
        """How a predicate does on explore; journaled, since what a frozen lexicon cannot run is an answer too."""
        found = self.journaled(
            "fit", target, {"predicate": printed}, lambda: self._fit(target, printed)
        )
        lists = {name: tuple(found.get(name, ())) for name in ("worst", "worth", "missed")}
        return ExploreFit(score=found["score"], problem=found["problem"], **lists)

    def _fit(self, target: str, printed: str) -> Data:
        from ...tools.dissection import TextView, term_contributions

        data = self.data("explore", target)
        try:
            predicate, text = (
                self.predicate(printed),
                TextView(data.tokens, data.length, self.lexicon),
            )
            predicted = predicate.predict_text(text)
            score, worst = _scored(data, predicted)
            worths = [
                round(value, 3)
                for value in term_contributions(predicate, text, data.signal, data.mask)
            ]
            missed = missed_tokens(data, predicted)
        except OUT_OF_BOUNDS as error:
            return {"score": None, "worst": [], "problem": str(error)}
        return {"score": score, "worst": worst, "problem": "", "worth": worths, "missed": missed}

    def grade(self, target: str, concepts: tuple[str, ...]) -> GradedPredicate:
        """The best grades on explore of concepts that an explainer named; journaled as `fit` is."""
        request = {"concepts": list(concepts)}
        return GradedPredicate(
            **self.journaled("grades", target, request, lambda: self._grade(target, concepts))
        )

    def _grade(self, target: str, concepts: tuple[str, ...]) -> Data:
        from ...tools.dissection import TextView, fit_grades
        from ...tools.dissection.grammar import parse_concept

        data = self.data("explore", target)
        try:
            text = TextView(data.tokens, data.length, self.lexicon)
            found = fit_grades(
                [parse_concept(concept) for concept in concepts], text, data.signal, data.mask
            )
        except OUT_OF_BOUNDS as error:
            return {"predicate": "", "problem": str(error)}
        without = ", ".join(concept.to_text() for concept in found.left_out)
        left_out = f"{without}, worth least ({found.why})" if without else ""
        return {"predicate": found.predicate.to_text(), "problem": "", "left_out": left_out}

    def read_texts(self, target: str, texts: Sequence[str]) -> list[Reading] | None:
        """Raw activations of the target on new texts; None for a target that is no unit of the subject."""
        if target in self.config.nulls:
            return None
        unit = str(Unit.parse(target).unsided)
        result = self.instrument(
            target, "activations.on_text", {"texts": list(texts), "units": [unit]}
        )
        return [_reading(text, unit) for text in result["texts"]]

    # hypotheses

    def check_hypothesis(self, hypothesis: Hypothesis) -> None:
        """Raise ArgumentError when a hypothesis is longer than the contract allows or its predicate cannot be read."""
        from ...tools.dissection.formula_english import word_count

        words = word_count(hypothesis.sentence)
        if not 0 < words <= MAX_WORDS:
            raise ArgumentError(
                f"the sentence has {words} words; give 1 to {MAX_WORDS}: {hypothesis.sentence!r}"
            )
        if hypothesis.predicate is not None:
            self.predicate(hypothesis.predicate)

    def predicate(self, printed: str) -> Any:
        """A predicate from its printed form."""
        from ...tools.dissection import Predicate

        return Predicate.parse(printed)

    def predict(self, printed: str, tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Activations that a predicate predicts, [contexts, seq]."""
        return predict(printed, self.lexicon, tokens, length)

    def select_value(self, target: str, hypothesis: Hypothesis) -> float | None:
        """Simulation score of a hypothesis on select, which goes to the log together with its worst misses."""
        if hypothesis.predicate is None:
            return simulate_on_select(self, target, hypothesis)
        value, worst = self.score(target, "select", hypothesis.predicate)
        self.log.write(
            "feedback", {"score": value, "worst": worst}, target=target, id=hypothesis.id
        )
        return value

    def score(self, target: str, split: str, printed: str) -> tuple[float, list[Data]]:
        """Pearson r of a predicate with the signal of a split, and where they differ most."""
        data = self.data(split, target)
        return _scored(data, self.predict(printed, data.tokens, data.length))


def _scored(data: ExploreData, predicted: np.ndarray) -> tuple[float, list[Data]]:
    from ...evals.statistics.correlation import pearson
    from ...evals.statistics.sample import Sample

    return pearson(Sample(predicted, data.signal, data.mask, data.document)), worst_misses(
        data, predicted
    )


def _rendered(instrument: str, arguments: Mapping[str, Any]) -> Data:
    """The request for an instrument's answer with its text, as an explainer reads it."""
    return {"instrument": instrument, "arguments": arguments, "rendered": True}


def _shown(case: InvestigationView) -> Mapping[str, Any]:
    """The part of a case that an answer may depend on, as JSON."""
    return asdict(replace(case, explore=None, conversation=None))


def _reading(text: Mapping[str, Any], unit: str) -> Reading:
    return Reading(
        offsets=[tuple(o) for o in text["offsets"]], activations=text["activations"][unit]
    )
