"""Every request to a language model is counted when it is sent, whatever comes back.

1. Before a request is sent, the budget admits it and counts a call, or raises BudgetReached. Its
   event `llm_request` is written, with the largest cost that it may have: that is what the log of
   a killed process says.
2. When it has ended, the same event is written again with what it took: the server's count, or an
   estimate where the server did not count (`token_estimate`).
3. A request that no server got costs nothing and does not count as a call. One that was refused
   with an error is a call without tokens: no provider bills it. One whose answer broke off, could
   not be used or did not come in time may have been billed: it costs what the server counted, else
   the largest cost.

Each retry is another request. All requests of a run share one budget: explainer, simulator,
judge, roles in circuits, and the checks before a run.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..runlog.events import LLM_REQUEST
from ..runlog.log import Data, RunLog
from ..runlog.model_config import ModelConfig
from ..runlog.spending import cost_of
from .budget import Amounts, Budget
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


class BatchPlace(NamedTuple):
    """Where a request is in a batch: the batch's name in the log, and the request's number in it."""

    batch: str
    place: int


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

    def _next(self) -> int:
        return next(self._numbers)

    def check(self) -> None:
        """Raise BudgetReached if no request may be sent."""
        if self._budget is not None:
            self._budget.admit(self._payer.target)

    def send(self, request: Request, most_output: int) -> CountedRequest:
        """Count a request that is about to be sent; raises BudgetReached."""
        payer, number = self._payer, self._next()
        if self._budget is not None:
            self._budget.count_call(payer.target)
        self.sent += 1
        largest = largest_usage(request, most_output)
        counted = CountedRequest(payer, number, largest, self._budget, self._write)
        counted.begin()
        return counted

    def reserve(self, request: Request, most_output: int, batch: BatchPlace) -> CountedRequest:
        """Count a request of a batch that is about to be submitted, at its largest cost.

        Raises:
            BudgetReached: that does not fit in the budget.
        """
        largest = largest_usage(request, most_output)
        counted = CountedRequest(
            self._payer, self._next(), largest, self._budget, self._write, batch
        )
        if self._budget is not None:
            self._budget.reserve(self._payer.target, counted.held)
        self.sent += 1
        counted.begin()
        return counted

    def reopen(self, request: Request, most_output: int, row: Data) -> CountedRequest:
        """A request of a batch that an earlier process submitted.

        Args:
            row: what it wrote, and what the budget has counted since.
        """
        place = BatchPlace(row["batch"], row["place"])
        largest = largest_usage(request, most_output)
        return CountedRequest(
            self._payer, row["number"], largest, self._budget, self._write, place, cost_of(row)
        )


class CountedRequest:
    """One request in flight: a `conversation.SentRequest`.

    Args:
        batch: where it is in a batch; None for one that is sent by itself.
        held: what the budget has counted already; by default the call, of a batch's the largest cost.
    """

    def __init__(
        self,
        payer: Payer,
        number: int,
        largest: TokenUsage,
        budget: Budget | None,
        write: Write,
        batch: BatchPlace | None = None,
        held: Amounts | None = None,
    ) -> None:
        self._payer, self._number, self._largest, self._batch = payer, number, largest, batch
        self._id, self._budget, self._write = f"{payer.key}/{number}", budget, write
        self._started = time.monotonic()
        if held is None:
            whole = cost_of(self._row(IN_FLIGHT, largest, estimated=True))
            held = whole if batch else {"calls": 1.0}
        self.held = held

    def begin(self) -> None:
        """Write that it is sent."""
        self._write(self._id, self._row(IN_FLIGHT, self._largest, estimated=True))

    def answered(self, reply: Reply) -> None:
        """Record the reply and what it took."""
        usage = usage_of(reply, self._largest)
        self._end(self._row(ANSWERED, usage, estimated=usage != reply.usage))

    def failed(self, error: BaseException) -> None:
        """Record the error, and what the request may have cost."""
        outcome = " ".join(str(error).split())[:300] or type(error).__name__
        fate = error.fate if isinstance(error, ModelError) else "broken"
        usage = error.usage if isinstance(error, ModelError) else None
        if fate in ("unsent", "refused"):
            calls = 0 if fate == "unsent" else 1
            self._end(self._row(outcome, TokenUsage(), estimated=False, calls=calls))
        else:
            self._end(self._row(outcome, usage or self._largest, estimated=usage is None))

    def _end(self, row: Data) -> None:
        if not self._batch:  # nobody waits for an answer of a batch by itself
            row["seconds"] = round(time.monotonic() - self._started, 4)
        if self._budget is not None:
            left = {unit: cost - self.held.get(unit, 0.0) for unit, cost in cost_of(row).items()}
            self._budget.charge(self._payer.target, left)
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
            **(self._batch._asdict() if self._batch else {}),
        }


def journal_meter(log: RunLog, budget: Budget | None, payer: Payer) -> RequestMeter:
    """A meter that writes to a run's log."""
    target = payer.target or None

    def write(id: str, row: Data) -> None:
        log.write(LLM_REQUEST, row, target=target, id=id)

    return RequestMeter(budget, write, payer, _free_number(log, target, payer.key))


def _free_number(log: RunLog, target: str | None, key: str) -> int:
    """The first number that no request for an answer has in the log."""
    numbers = itertools.count(1)
    return next(n for n in numbers if not log.has(LLM_REQUEST, target, f"{key}/{n}"))


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
            number = _free_number(log, None, row["key"])
            log.write(LLM_REQUEST, row | {"number": number}, id=f"{row['key']}/{number}")
        self._rows.clear()
