"""Paid answers of language models: each is written to the run log before it is used, and paid for once.

1. A request is named by its hash. What the journal holds under that name is not asked again.
2. The budget admits the call, or raises BudgetReached, and the target stays pending.
3. The model answers; the answer is charged and written to the log as the event `llm_call`.

Explainers (`journaled_model`) and judges (`journaled_judge`) differ only in their requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..runlog.events import LLM_CALL
from ..runlog.journal import Journal
from ..runlog.log import Data, RunLog
from .conversation import Reply, TokenUsage

if TYPE_CHECKING:
    from .budget import Budget
    from .prices import Price

CHARACTERS_PER_TOKEN = 4
"""The common rule of thumb, where a server does not count."""


class PaidCalls:
    """The calls of one run.

    Args:
        budget: None admits everything.
    """

    def __init__(self, log: RunLog, budget: Budget | None) -> None:
        self.log = log
        self._journal, self._budget = Journal(log), budget

    def row(self, target: str, key: str, call: Callable[[], Data]) -> Data:
        """The journaled row of a call; `call` makes it, without its `seconds`, if there is none.

        Raises:
            BudgetReached: the budget admits no further call.
        """

        def pay() -> Data:
            self.admit(target)
            started = time.perf_counter()
            row = call()
            row["seconds"] = round(time.perf_counter() - started, 4)
            if self._budget is not None:
                self._budget.charge(target, cost_of(row))
            return row

        return self._journal.row(LLM_CALL, key, pay, target=target)

    def admit(self, target: str) -> None:
        """Raise BudgetReached unless a call for this target may be made."""
        if self._budget is not None:
            self._budget.admit(target)


def usage_fields(reply: Reply, request: str, price: Price | None) -> Data:
    """The cost of a reply, for its row: tokens, dollars if the price is known, attempts and waits.

    A server that counts no tokens leaves them null. So that a budget holds all the same, the row
    then has a `guess`, which only the budget counts.
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
        written = len(reply.text) + sum(len(call.raw) for call in reply.calls)
        guess = TokenUsage(len(request) // CHARACTERS_PER_TOKEN, written // CHARACTERS_PER_TOKEN)
        usd = price.of(guess) if price else None
        fields["guess"] = {"tokens": guess.input + guess.output, "usd": usd}
    return fields


def cost_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The cost of a journaled call, in the units of a budget."""
    guess = row.get("guess") or {}
    tokens = (row["input_tokens"] or 0) + (row["output_tokens"] or 0) or guess.get("tokens") or 0
    usd = row["usd"] if row["usd"] is not None else guess.get("usd")
    return {"calls": 1.0, "tokens": float(tokens), "usd": usd or 0.0, "seconds": row["seconds"]}
