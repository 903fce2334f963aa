"""Every request to a language model is counted when it is sent, whatever comes back.

1. Before a request is sent, the budget admits it and counts a call, or raises BudgetReached. Its
   event `llm_request` is written, with the largest cost that it may have: a killed process leaves
   that behind.
2. When it has ended, the same event is written again with what it took: the server's count, or an
   estimate where the server did not count (`token_estimate`).
3. A request that no server got costs nothing and is no call. One that was refused with an error is
   a call without tokens: no provider bills it. One whose answer broke off, could not be used or did
   not come in time may have been billed: it costs what the server counted, else the largest cost.

Retries are requests of their own. All requests of a run share one budget: explainer, simulator,
judge, roles in circuits, and the checks before a run.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..runlog.events import LLM_REQUEST
from ..runlog.log import Data, RunLog
from ..runlog.model_config import ModelConfig
from ..runlog.spending import cost_of
from .budget import Budget
from .conversation import Meter, Reply, Request, TokenUsage
from .errors import ModelError
from .prices import Price, price_from
from .token_estimate import largest_usage, usage_of

IN_FLIGHT = "in flight"
"""Outcome of a request that has not ended, and of one whose process was killed."""
ANSWERED = "answered"
Write = Callable[[str, Data], None]
"""Writes the data of a request under its id."""


@dataclass(frozen=True)
class Payer:
    """Who asks for an answer.

    Attributes:
        target: whose limits count; "" for the run itself.
        key: of the answer in the journal.
        role: explainer, simulator, judge, or check.
        model: its name.
    """

    target: str
    key: str
    role: str
    model: str
    price: Price | None = None


class RequestMeter:
    """Counts the requests for one answer: a `conversation.Meter`.

    Args:
        first: number of the next request for this answer; those before it were sent by others.
    """

    def __init__(self, budget: Budget | None, write: Write, payer: Payer, first: int = 1) -> None:
        self._budget, self._write, self._payer = budget, write, payer
        self._numbers = itertools.count(first)
        self.sent = 0
        """Requests so far."""

    def check(self) -> None:
        """Raise BudgetReached if no request may be sent."""
        if self._budget is not None:
            self._budget.admit(self._payer.target)

    def send(self, request: Request, most_output: int) -> CountedRequest:
        """Count a request that is about to be sent; raises BudgetReached."""
        payer, number = self._payer, next(self._numbers)
        if self._budget is not None:
            self._budget.count_call(payer.target)
        self.sent += 1
        counted = CountedRequest(
            payer,
            f"{payer.key}/{number}",
            number,
            self._budget,
            self._write,
            largest_usage(request, most_output),
        )
        counted.begin()
        return counted


class CountedRequest:
    """One request in flight: a `conversation.SentRequest`."""

    def __init__(
        self,
        payer: Payer,
        id: str,
        number: int,
        budget: Budget | None,
        write: Write,
        largest: TokenUsage,
    ) -> None:
        self._payer, self._id, self._number = payer, id, number
        self._budget, self._write, self._largest = budget, write, largest
        self._started = time.monotonic()

    def begin(self) -> None:
        """Write that it is sent."""
        self._write(self._id, self._row(IN_FLIGHT, self._largest, estimated=True))

    def answered(self, reply: Reply) -> None:
        """It was answered with a reply."""
        usage = usage_of(reply, self._largest)
        self._end(self._row(ANSWERED, usage, estimated=usage != reply.usage))

    def failed(self, error: BaseException) -> None:
        """It ended without a reply."""
        outcome = " ".join(str(error).split())[:300] or type(error).__name__
        fate = error.fate if isinstance(error, ModelError) else "broken"
        usage = error.usage if isinstance(error, ModelError) else None
        if fate in ("unsent", "refused"):
            calls = 0 if fate == "unsent" else 1
            self._end(self._row(outcome, TokenUsage(), estimated=False, calls=calls))
        else:
            self._end(self._row(outcome, usage or self._largest, estimated=usage is None))

    def _end(self, row: Data) -> None:
        row["seconds"] = round(time.monotonic() - self._started, 4)
        if self._budget is not None:
            cost = cost_of(row)  # the call itself was counted when it was sent
            self._budget.charge(self._payer.target, cost | {"calls": cost["calls"] - 1})
        self._write(self._id, row)

    def _row(self, outcome: str, usage: TokenUsage, *, estimated: bool, calls: int = 1) -> Data:
        payer = self._payer
        return {
            "key": payer.key,
            "number": self._number,
            "role": payer.role,
            "model": payer.model,
            "outcome": outcome,
            "calls": calls,
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "cache_read": usage.cache_read,
            "cache_write": usage.cache_write,
            "usd": payer.price.of(usage) if payer.price else None,
            "estimated": estimated,
            "seconds": 0.0,
        }


def journal_meter(log: RunLog, budget: Budget | None, payer: Payer) -> RequestMeter:
    """A meter that writes to a run's log."""
    target = payer.target or None

    def write(id: str, row: Data) -> None:
        log.write(LLM_REQUEST, row, target=target, id=id)

    numbers = itertools.count(1)
    first = next(n for n in numbers if log.get(LLM_REQUEST, target, f"{payer.key}/{n}") is None)
    return RequestMeter(budget, write, payer, first)


class Checks:
    """The requests that check models before a run has a log, within the run's budget."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget
        self._rows: dict[str, Data] = {}

    def meter(self, config: ModelConfig) -> Meter:
        """For one check of a model."""
        payer = Payer("", config.name, "check", config.name, price_from(config.price))
        first = 1 + sum(row["key"] == payer.key for row in self._rows.values())
        return RequestMeter(self.budget, self._rows.__setitem__, payer, first)

    def write_to(self, log: RunLog) -> None:
        """Write them to the run's log, after those of earlier checks."""
        for row in self._rows.values():
            numbers = itertools.count(1)
            ids = (f"{row['key']}/{number}" for number in numbers)
            id = next(id for id in ids if log.get(LLM_REQUEST, None, id) is None)
            log.write(LLM_REQUEST, row, id=id)
        self._rows.clear()
