"""Paid answers of language models: each is written to the run log before it is used, and paid for once.

1. A request is named by its hash. What the journal holds under that name is not asked again.
2. The budget admits each request when it is sent, or raises BudgetReached, and the target stays
   pending (`meter`).
3. The model answers; the answer is written to the log as the event `llm_call`.

Explainers (`journaled_model`) and judges (`journaled_judge`) differ only in their requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..runlog.events import LLM_CALL
from ..runlog.journal import Journal
from ..runlog.log import Data, RunLog
from ..runlog.spending import cost_of
from .conversation import Reply, Request
from .meter import Payer, RequestMeter, journal_meter
from .token_estimate import largest_usage, usage_of

if TYPE_CHECKING:
    from .budget import Budget
    from .prices import Price


class PaidCalls:
    """The calls of one run.

    Args:
        budget: None admits everything.
    """

    def __init__(self, log: RunLog, budget: Budget | None) -> None:
        self.log = log
        self._journal, self._budget = Journal(log), budget

    def row(self, payer: Payer, call: Callable[[RequestMeter], Data]) -> Data:
        """The journaled row of an answer; `call` makes it, without its `seconds`, if there is none.

        Args:
            call: is given the meter that counts the requests that it sends.

        Raises:
            BudgetReached: the budget admits no further request.
        """

        def pay() -> Data:
            meter = journal_meter(self.log, self._budget, payer)
            meter.check()
            started = time.perf_counter()
            row = call(meter)
            row["seconds"] = round(time.perf_counter() - started, 4)
            if self._budget is not None and not meter.sent:
                self._budget.charge(payer.target, cost_of(row))  # a program answered, no server
            return row

        return self._journal.row(LLM_CALL, payer.key, pay, target=payer.target)

    def journaled(self, payer: Payer) -> Data | None:
        """The row of an answer that is in the journal."""
        return self.log.get(LLM_CALL, payer.target, payer.key)

    def admit(self, target: str) -> None:
        """Raise BudgetReached unless a call for this target may be made."""
        if self._budget is not None:
            self._budget.admit(target)


def usage_fields(reply: Reply, request: Request, price: Price | None) -> Data:
    """The cost of a reply, for its row: tokens, dollars if the price is known, attempts and waits.

    A server that counts no tokens leaves them null. The row then has a `guess`, which only budgets
    count.
    """
    usage = reply.usage
    waits = [{"why": wait.why, "seconds": wait.seconds} for wait in reply.waits]
    fields: Data = {
        "input_tokens": usage.input if usage else None,
        "output_tokens": usage.output if usage else None,
        "cache_read": usage.cache_read if usage else None,
        "cache_write": usage.cache_write if usage else None,
        "usd": price.of(usage) if price else None,
        "attempts": 1 + sum(wait.failed for wait in reply.waits),
        "waited": round(sum(wait.seconds for wait in reply.waits), 3),
        "waits": waits,
    }
    if usage is None:
        guess = usage_of(reply, largest_usage(request, request.max_tokens))
        usd = price.of(guess) if price else None
        fields["guess"] = {"tokens": guess.input + guess.output, "usd": usd}
    return fields
