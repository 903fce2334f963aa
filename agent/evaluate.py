"""`hubel eval`: explanations scored again, by any scorers, on held-out text or on another corpus.

1. A source (`source`) has explanations and a folder with activations; what is missing is collected now.
2. Each explanation becomes a `Case` on holdout, and on select for what costs nothing there (so that the drop is seen).
   With `corpus`, on that corpus instead. Rivals (token lookup, another unit's explanation) come from explore.
3. Each scorer gives scores, or a failure, or says that there is nothing to score. All of it is written to the log as an
   `evaluation` event of the target: holdout is never read without a trace. Verdicts and the run's figures stay as they
   are.
4. After somebody has looked at a target's held-out text (`holdout_viewed`), a new explanation of it is scored on select
   and on other corpora only; what is scored then is marked.

A judge's answers go through the journal (`judging`). `retry_failed` takes what is known from the log and asks again for
what failed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evals import scorers as registry
from ..evals.floors import Labelled, learn_rivals
from ..evals.judge import Cost
from ..evals.judges import make_judge
from ..evals.lab import Lab
from ..evals.sample import Sample
from ..evals.score import Score, Split
from ..evals.scorers import Case
from ..evals.scoring import Outcome, score_all
from ..evals.windows import Printed
from ..tools.index.holdout import open_collected_holdout
from ..tools.subject.address import Unit
from .evaluation import Evaluation, Plan, Row
from .evaluation_texts import Texts
from .explanations import Explanation
from .judging import Journaled
from .log import RunLog, WriterLock
from .progress import Reporter
from .source import Source

if TYPE_CHECKING:
    from ..tools.subject import Subject

EVENT = "evaluation"
ON_SUBJECT = ("generative", "intervention", "surprisal")
"""Scorers that run the subject."""
SPLITS: tuple[Split, ...] = ("select", "holdout")


def check_plan(plan: Plan) -> None:
    """Raise UsageError when a scorer or the judge is not known, before anything is loaded."""
    for name in plan.scorers:
        registry.get(name)
    make_judge(plan.judge)


def evaluate(
    source: Source, plan: Plan, *, reporter: Reporter | None = None, subject: Subject | None = None
) -> Evaluation:
    """Score a source's explanations.

    Args:
        subject: the loaded subject, if the caller has it; else it is loaded when it is first needed.
    """
    check_plan(plan)
    reporter = reporter or Reporter()
    source.folder.mkdir(parents=True, exist_ok=True)
    with WriterLock(source.folder), closing(RunLog(source.folder)) as log:
        work = _Work(source, plan, log, reporter, subject)
        rows = []
        for number, explanation in enumerate(source.explanations):
            reporter.update("score", number, len(source.explanations), unit="targets")
            rows.append(work.row(explanation))
        reporter.update("score", len(source.explanations), len(source.explanations), unit="targets")
    scored = {row.explanation.target: row for row in rows}
    order = [row["target"] for row in source.rows] or list(scored)
    runs = {row["target"]: row for row in source.rows}
    return Evaluation(source, plan, [scored.get(t) or _unscored(runs[t]) for t in order])


def _unscored(row: Mapping[str, Any]) -> Row:
    """A target of the run that has no explanation: it counts as a target all the same."""
    return Row(Explanation(row["target"], ""), row["status"], run=row, error=row["error"] or row["reason"] or "")


class _Work:
    """One source under one plan: what its cases share."""

    def __init__(self, source: Source, plan: Plan, log: RunLog, reporter: Reporter, subject: Subject | None) -> None:
        self.source, self.plan, self.log = source, plan, log
        self.texts = Texts(source, plan, reporter, subject, open_collected_holdout)
        self.judge = make_judge(plan.judge)
        self._runs = {row["target"]: row for row in source.rows}

    def row(self, explanation: Explanation) -> Row:
        started = time.perf_counter()
        viewed = bool(self.log.all("holdout_viewed", explanation.target))
        outcomes: dict[Split, list[Outcome]] = {}
        for split in self._splits(viewed):
            outcomes[split] = self._outcomes(explanation, split)
        seconds = round(time.perf_counter() - started, 3)
        run = self._runs.get(explanation.target, {})
        return Row(explanation, "done", outcomes, viewed, run, seconds)

    def _splits(self, viewed: bool) -> tuple[Split, ...]:
        if self.plan.corpus:
            return ("holdout",)
        return ("select",) if viewed and not self.source.is_run else SPLITS

    # outcomes, from the log or anew

    def _outcomes(self, explanation: Explanation, split: Split) -> list[Outcome]:
        names = [n for n in self.plan.scorers if split == "holdout" or self._is_free(n)]
        known = {name: self._logged(explanation, split, name) for name in names}
        again = [n for n in names if not self.plan.retry_failed or known[n] is None or known[n]["failure"]]
        fresh: dict[str, Outcome] = {}
        if again:
            attempt = max([known[n]["attempt"] + 1 for n in again if self.plan.retry_failed and known[n]], default=0)
            for outcome in score_all(self._case(explanation, split, attempt), again):
                fresh[outcome.scorer] = outcome
                self._write(explanation, split, outcome, attempt)
        return [fresh[n] if n in fresh else _from_log(known[n]) for n in names]

    def _is_free(self, scorer: str) -> bool:
        """Whether a scorer costs nothing on select."""
        return scorer.startswith("simulation") or (self.judge is None and scorer not in ON_SUBJECT)

    def _event_id(self, explanation: Explanation, split: Split, scorer: str) -> str:
        return "/".join([explanation.id, self.plan.judge, self.plan.corpus, split, scorer])

    def _logged(self, explanation: Explanation, split: Split, scorer: str) -> Any:
        return self.log.get(EVENT, explanation.target, self._event_id(explanation, split, scorer))

    def _write(self, explanation: Explanation, split: Split, outcome: Outcome, attempt: int) -> None:
        row = {
            "judge": self.plan.judge,
            "corpus": self.plan.corpus or None,
            "split": split,
            "explanation": explanation.sentence,
            "predicate": explanation.predicate,
            "attempt": attempt,
            **outcome.to_json(),
        }
        id = self._event_id(explanation, split, outcome.scorer)
        self.log.write(EVENT, row, target=explanation.target, id=id)

    # cases

    def _case(self, explanation: Explanation, split: Split, attempt: int) -> Case:
        unit = Unit.parse(explanation.target)
        data, explore = self.texts.of(split), self.texts.explore
        signal, before = (unit.signal(d.activations(unit.unsided)) for d in (data, explore))
        predicted = self.texts.predicted(explanation.predicate, split)
        other = self.texts.predicted(self._other(explanation), split)
        labelled = Labelled(explore.tokens, before, explore.mask)
        sample = Sample(np.zeros_like(signal) if predicted is None else predicted, signal, data.mask, data.document)
        chat = self.judge
        if chat is not None:
            chat = Journaled(chat, self.log, explanation.target, self.plan.judge, attempt)
        return Case(
            sample,
            split,
            learn_rivals(labelled, data.tokens, other),
            target_seed(self.source.seed, explanation.target),
            explanation=explanation.sentence,
            printed=Printed(data.tokens, data.length, self.texts.lexicon.strings),
            chat=chat,
            predicts=predicted is not None,
            calibration=self._calibration(explanation, before),
            lab=self._lab(explanation, unit, split, signal),
        )

    def _calibration(self, explanation: Explanation, before: np.ndarray) -> Sample | None:
        predicted = self.texts.predicted(explanation.predicate, "explore")
        if predicted is None or not any(name.startswith("simulation.") for name in self.plan.scorers):
            return None
        return Sample(predicted, before, self.texts.explore.mask, self.texts.explore.document)

    def _other(self, explanation: Explanation) -> str | None:
        """The predicate of a random other target of the same layer, the same one that the run's verdict drew."""
        order = [row["target"] for row in self.source.rows] or [e.target for e in self.source.explanations]
        place = _place(explanation.target)
        rivals = [
            e.predicate
            for e in self.source.explanations
            if e.predicate and e.target != explanation.target and _place(e.target) == place
        ]
        if not rivals:
            return None
        rng = np.random.default_rng([self.source.seed, order.index(explanation.target)])
        return rivals[int(rng.integers(len(rivals)))]

    def _lab(self, explanation: Explanation, unit: Unit, split: Split, signal: np.ndarray) -> Lab:
        from .laboratory import Bench, WordVectors, decoys_of, neighbours_of

        lab = Lab()
        if explanation.predicate is not None:
            printed = explanation.predicate
            lab = replace(lab, predict=lambda tokens, length: self.texts.predict(printed, tokens, length))
        if self.plan.embedding == "subject" and self.texts.whole_lexicon.vectors is not None:
            lab = replace(lab, embed=WordVectors(self.texts.whole_lexicon))
        if "discrimination" in self.plan.scorers:
            subject = self.texts.given
            lab = replace(lab, neighbours=neighbours_of(unit, self.texts.explore, self.texts.of(split), subject))
        runs = explanation.target not in self.source.nulls and any(n in ON_SUBJECT for n in self.plan.scorers)
        if split == "select" or not runs:
            return lab
        seed = target_seed(self.source.seed, explanation.target)
        decoys = decoys_of(unit, self.texts.subject.shape.count(unit.place), seed) if unit.site == "mlp" else []
        bench = Bench(self.texts.subject, unit, decoys)
        lab = replace(lab, fire=bench.fire, loss=bench.loss)
        if unit.site != "mlp":
            return lab
        return replace(lab, effects=bench.effects(self.texts.of(split).tokens, float(np.abs(signal).max())))


def _from_log(row: Mapping[str, Any]) -> Outcome:
    scores = tuple(Score.from_json(score) for score in row["scores"])
    return Outcome(row["scorer"], scores, row["failure"], row["skipped"], Cost())


def _place(target: str) -> tuple[str, int]:
    unit = Unit.parse(target)
    return unit.site, unit.layer


def target_seed(seed: int, target: str) -> int:
    """The seed of everything random about a target, as the run's own (`room.Room.seed`)."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{target}".encode()).digest()[:4], "big")
