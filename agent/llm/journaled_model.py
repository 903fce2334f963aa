"""Asking the language model that explains: what a reply costs is admitted before and charged after,
and paid once.

1. A request is looked up in the run's journal under its hash; what was answered before is not asked
   again.
2. The budget admits the call, or raises BudgetReached, and the target stays pending.
3. The model replies; the reply is written to the log before anybody sees it; then it is charged.

The event `llm_call` holds the messages that are new since the last reply; the system part and the
tools, the same for all targets, are written once as the event `prompt`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...tools.errors import CorruptError
from ..runlog.events import LLM_CALL
from ..runlog.log import Data, RunLog, canonical
from .conversation import JournaledReply, LanguageModel, Reply, Request, TokenUsage

if TYPE_CHECKING:
    from .budget import Budget
    from .prices import Price

CHARACTERS_A_TOKEN = 4
"""The common rule of thumb, where a server does not count."""
DEEPEST = 40
"""Levels of JSON in a reply that are kept; what is nested deeper is no argument of any tool."""


class JournaledModel:
    """Puts the run's journal and budget between an explainer and its language model."""

    def __init__(
        self, log: RunLog, name: str, model: LanguageModel, budget: Budget, price: Price | None
    ) -> None:
        self._log, self._name, self._model, self._budget, self._price = (
            log,
            name,
            model,
            budget,
            price,
        )

    def ask(self, target: str, request: Request) -> JournaledReply:
        """The reply to a request, from the journal or paid for now.

        Raises:
            BudgetReached: the budget admits no further call.
        """
        asked = request.to_json()
        key = request_key(self._name, asked)
        if self._log.get(LLM_CALL, target, key) is None:
            self._pay(target, key, request, asked)
        return JournaledReply(key, Reply.from_json(reply_of(self._log, target, key)))

    def admit(self, target: str) -> None:
        """Raise `BudgetReached` unless a call for this target may be made."""
        self._budget.admit(target)

    def _pay(self, target: str, key: str, request: Request, asked: Mapping[str, Any]) -> None:
        self.admit(target)
        prompt = self._write_prompt(asked)
        started = time.perf_counter()
        reply = self._model.reply(request)
        seconds = round(time.perf_counter() - started, 4)
        row = {
            "request": {"system_and_tools": prompt, "new": _since_last_reply(asked["messages"])},
            "answer": plain(reply.to_json()),
            "prompt": request.prompt,
            "model": reply.model or self._name,
            "role": "explainer",
            "seconds": seconds,
            **costs(reply, canonical(asked), self._price),
        }
        self._log.write(LLM_CALL, row, target=target, id=key)
        self._budget.charge(target, spent_by(row))

    def _write_prompt(self, asked: Mapping[str, Any]) -> str:
        same = {"label": asked.get("prompt"), "system": asked["system"], "tools": asked["tools"]}
        id = hashlib.sha256(canonical(same).encode()).hexdigest()[:16]
        if self._log.get("prompt", None, id) is None:
            self._log.write("prompt", same, id=id)
        return id


def costs(reply: Reply, asked: str, price: Price | None) -> dict[str, Any]:
    """What an answer took, for its row in the log: tokens, dollars where they are known, and what
    was waited.

    A server that counts no tokens leaves them null. So that a budget holds all the same, its row
    says what they are at least likely to be (`guess`), which is counted there and shown nowhere.
    """
    usage = reply.usage
    found: dict[str, Any] = {
        "input_tokens": usage.input if usage else None,
        "output_tokens": usage.output if usage else None,
        "cache_read": usage.cache_read if usage else None,
        "cache_write": usage.cache_write if usage else None,
        "usd": price.of(usage) if price else None,
        "attempts": 1 + sum(wait.failed for wait in reply.waits),
        "waited": round(sum(wait.seconds for wait in reply.waits), 3),
        "waits": [{"why": wait.why, "seconds": wait.seconds} for wait in reply.waits],
    }
    if usage is None:
        said = len(reply.text) + sum(len(call.raw) for call in reply.calls)
        guess = TokenUsage(len(asked) // CHARACTERS_A_TOKEN, said // CHARACTERS_A_TOKEN)
        found["guess"] = {
            "tokens": guess.input + guess.output,
            "usd": price.of(guess) if price else None,
        }
    return found


def spent_by(row: Mapping[str, Any]) -> dict[str, float]:
    """What a journaled answer took, by the units of a budget."""
    guess = row.get("guess") or {}
    tokens = (row["input_tokens"] or 0) + (row["output_tokens"] or 0) or guess.get("tokens") or 0
    usd = row["usd"] if row["usd"] is not None else guess.get("usd")
    return {"calls": 1.0, "tokens": float(tokens), "usd": usd or 0.0, "seconds": row["seconds"]}


class ReplayModel:
    """Stands where an Asker was, in a replay: every reply comes from the journal.

    A request that the journal does not know, since an earlier reply or a prompt was changed, gets
    the reply that was given at its place; what follows from it is computed anew, and shows as a
    mismatch where it differs.
    """

    def __init__(self, log: RunLog, name: str) -> None:
        self._log, self._name = log, name
        self._given: dict[str, int] = {}

    def admit(self, target: str) -> None:
        """Nothing is paid here."""

    def ask(self, target: str, request: Request) -> JournaledReply:
        """The journaled reply.

        Raises:
            CorruptError: the journal holds no further reply for this target.
        """
        key = request_key(self._name, request.to_json())
        keys = [
            str(id)
            for id, row in self._log.all(LLM_CALL, target).items()
            if "system_and_tools" in row["request"]
        ]
        place = self._given.get(target, 0)
        if key not in keys:
            if place >= len(keys):
                raise CorruptError(
                    f"{target}: the journal holds {len(keys)} replies of {self._name}, and one more is asked for: this "
                    "log was changed or cut short"
                )
            key = keys[place]
        self._given[target] = place + 1
        return JournaledReply(key, Reply.from_json(reply_of(self._log, target, key)))


def request_key(name: str, asked: Mapping[str, Any]) -> str:
    """The name of a request in the journal: equal requests to the same model have the same."""
    return hashlib.sha256(canonical({"model": name, "request": asked}).encode()).hexdigest()[:32]


def reply_of(log: RunLog, target: str, key: str) -> Data:
    """A reply as it was journaled."""
    found = log.get(LLM_CALL, target, key)
    if found is None:
        raise CorruptError(
            f"{target}: the journal does not hold the reply {key}; this log was changed or cut short"
        )
    return found["answer"]


def _since_last_reply(messages: list[Any]) -> list[Any]:
    """The messages behind the last one of the model's own."""
    own = [i for i, message in enumerate(messages) if "reply" in message]
    return messages[own[-1] + 1 :] if own else messages


def plain(value: Any, depth: int = 0) -> Any:
    """JSON that can be written anywhere: no lone surrogates, no NaN or infinity, not endlessly deep."""
    if depth > DEEPEST:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {plain(str(k)): plain(v, depth + 1) for k, v in value.items()}
    return [plain(v, depth + 1) for v in value] if isinstance(value, (list, tuple)) else value
