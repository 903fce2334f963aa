"""The desk that collects the questions of many targets, and settles them in batches.

1. A target that is scored asks its judge as usual. A question whose answer is not in the journal is
   noted (`ask_later`), and `AnswerPending` puts the target aside; the others go on.
2. When all targets have ended or wait, `settle` submits what was noted, waits, and writes the answers
   to the journal. It begins with batches that an earlier process submitted.
3. The waiting targets are scored again. What they ask now is in the journal; a question that depends
   on an answer (an unreadable one is asked again in halves) is noted in its turn.

A question that has failed raises `JudgeError` in the same process; a later one asks it again.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, NoReturn

from ....evals.judge.protocol import AnswerPending, JudgeError
from ....tools.errors import BudgetReached
from .collection import BatchCollector, Failures
from .patient_calls import PatientCaller
from .service import MAX_REQUESTS, MAX_WITH_LOGPROBS
from .submission import BatchSubmitter, OpenBatch, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...runlog.log import RunLog
    from ...runlog.progress import Reporter
    from ..budget import Budget
    from ..retry import Patience

MOST_NOTED = 20_000
"""Questions that are noted at most, about 100 MB, before they are settled."""
WITHIN = "answers may take 24 hours; what was submitted is in the log, so this may be stopped and resumed"


class BatchDesk:
    """Notes the questions of one run's judges and simulators. Safe to use from many threads."""

    def __init__(
        self, log: RunLog, budget: Budget | None, patience: Patience, reporter: Reporter
    ) -> None:
        self._reporter = reporter
        caller = PatientCaller(patience, reporter.say)
        self._submitter = BatchSubmitter(log, budget, caller)
        self._collector = BatchCollector(log, caller, reporter)
        self._lock = threading.Lock()
        self._noted: dict[tuple[str, str], Wanted] = {}
        self._failures: Failures = {}
        self._shares: dict[int, float] = {}
        self._submitted = 0

    @property
    def is_full(self) -> bool:
        """Whether so many questions are noted that they should be settled first."""
        return len(self._noted) >= MOST_NOTED

    def ask_later(self, wanted: Wanted, share: float) -> NoReturn:
        """Note a question.

        Args:
            share: what its answer costs, of the usual price.

        Raises:
            AnswerPending: its answer will come.
            JudgeError: it was in a batch, and has no answer.
        """
        with self._lock:
            if why := self._failures.get(wanted.name):
                error = JudgeError(why)
                error.unanswered = True
                raise error
            self._noted[wanted.name] = wanted
            self._shares[id(wanted.service)] = share
        raise AnswerPending

    def settle(self) -> None:
        """Submit what was noted, wait for the answers, and write them to the journal.

        Raises:
            BudgetReached: the budget admits no request.
            UsageError: the provider refuses, or does not know a batch.
            Unreachable: it does not answer. What was submitted is in the log.
        """
        with self._lock:
            noted, self._noted = list(self._noted.values()), {}
        self._submitter.refusal = None
        batches, unsent = self._reopened(noted)
        batches += self._submit(unsent)
        if not batches and self._submitter.refusal is not None:
            raise BudgetReached(str(self._submitter.refusal))
        self._failures |= self._collector.collect(batches)

    def _reopened(self, noted: Sequence[Wanted]) -> tuple[list[OpenBatch], list[Wanted]]:
        """Batches that were submitted before, and the questions that are in none."""
        before: dict[str, OpenBatch] = {}
        unsent = [wanted for wanted in noted if not self._submitter.reopen(wanted, before)]
        there: list[OpenBatch] = []
        for batch in before.values():
            if batch.id or self._submitter.find(batch):
                there.append(batch)
            else:
                unsent += [item.wanted for item in batch.items.values()]
        if there:
            waiting = sum(len(batch.items) for batch in there)
            ids = ", ".join(batch.id for batch in there[:3]) + (", ..." if len(there) > 3 else "")
            self._reporter.say(f"{waiting:,} requests were submitted before, in {ids}")
        return there, unsent

    def _submit(self, unsent: Sequence[Wanted]) -> list[OpenBatch]:
        """Submit questions in batches, as far as the budget admits them."""
        batches: list[OpenBatch] = []
        for part in _parts(unsent):
            batch = self._submitter.submit(part, self._shares[id(part[0].service)])
            if batch is None:
                continue
            batches.append(batch)
            self._reporter.say(
                f"submitted batch {batch.id} of {len(batch.items):,} requests to "
                f"{batch.service.where}; {WITHIN}"
            )
        sent = sum(len(batch.items) for batch in batches)
        if batches and sent < len(unsent):
            self._reporter.say(
                f"the budget admits {sent:,} of {len(unsent):,} requests at once, each at the largest "
                f"cost that it may have; the others come when it is known what these took"
            )
        return batches


def _parts(unsent: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """The questions to each service, in parts of at most one batch."""
    by_service: dict[int, list[Wanted]] = defaultdict(list)
    for wanted in unsent:
        by_service[id(wanted.service)].append(wanted)
    for questions in by_service.values():
        logprobs = any(wanted.request.logprobs for wanted in questions)
        size = MAX_WITH_LOGPROBS if logprobs else MAX_REQUESTS
        for start in range(0, len(questions), size):
            yield questions[start : start + size]
