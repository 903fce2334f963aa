"""The language model of an explainer, with the run's journal and budget in front (`paid_calls`).

The event `llm_call` holds only the messages that are new since the last reply, and the message that
shortens the turn before it. The system part and the tools, the same for all targets, are written
once, as the event `prompt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...tools.errors import CorruptError
from ..runlog.events import LLM_CALL
from ..runlog.journal import Journal, request_hash
from ..runlog.log import Data, EventName, RunLog
from .conversation import JournaledReply, LanguageModel, Reply, Request
from .meter import Payer, RequestMeter
from .paid_calls import PaidCalls, usage_fields
from .reply_limits import bounded_json

if TYPE_CHECKING:
    from .budget import Budget
    from .prices import Price


class JournaledModel:
    """A language model whose replies are journaled and paid for once."""

    def __init__(
        self, log: RunLog, name: str, model: LanguageModel, budget: Budget, price: Price | None
    ) -> None:
        self._calls = PaidCalls(log, budget)
        self._name, self._model, self._price = name, model, price

    def ask(self, target: str, request: Request) -> JournaledReply:
        """The reply to a request, from the journal or paid for now.

        Raises:
            BudgetReached: the budget admits no further call.
        """
        request_json = request.to_json()
        key = request_key(self._name, request_json)

        def call(meter: RequestMeter) -> Data:
            prompt = _write_prompt(self._calls.log, request_json)
            reply = self._model.reply(replace(request, meter=meter))
            new_messages = _since_last_reply(request_json["messages"])
            return {
                "request": {
                    "system_and_tools": prompt,
                    "new": bounded_json(new_messages),
                    "shortened": bounded_json(_shortened(request_json["messages"])),
                },
                "answer": bounded_json(reply.to_json()),
                "prompt": request.prompt,
                "model": reply.model or self._name,
                "role": "explainer",
                **usage_fields(reply, request, self._price),
            }

        row = self._calls.row(Payer(target, key, "explainer", self._name, self._price), call)
        return JournaledReply(key, Reply.from_json(row["answer"]))

    def admit(self, target: str) -> None:
        """Raise BudgetReached unless a call for this target may be made."""
        self._calls.admit(target)


class ReplayModel:
    """A JournaledModel's place in a replay: every reply comes from the journal.

    A request that the journal does not know, because an earlier reply or a prompt was changed, gets
    the reply that was given in its place. What follows from it is computed again, and shows as a
    mismatch where it differs.
    """

    def __init__(self, log: RunLog, name: str) -> None:
        self._log, self._name = log, name
        self._replies_used: dict[str, int] = {}
        self.other_requests: dict[EventName, list[str]] = {}
        """Lines about replies to other requests than those that were computed again."""

    def admit(self, target: str) -> None:
        """Nothing is paid here."""

    def ask(self, target: str, request: Request) -> JournaledReply:
        """The reply in the journal; nothing is sent.

        Raises:
            CorruptError: the journal holds no further reply for this target.
        """
        request_json = request.to_json()
        key, messages = request_key(self._name, request_json), request_json["messages"]
        rows = self._log.all(LLM_CALL, target)
        keys = [str(id) for id, row in rows.items() if "system_and_tools" in row["request"]]
        position = self._replies_used.get(target, 0)
        if key not in keys:
            if position >= len(keys):
                raise CorruptError(
                    f"{target}: the journal holds {len(keys)} replies of {self._name}, but the "
                    "replay needs one more; this log was changed or cut short"
                )
            key = keys[position]
            self._note(target, key, "is the reply to another request than is computed again")
        elif rows[key]["request"]["new"] != bounded_json(_since_last_reply(messages)):
            self._note(target, key, "shows another request than is computed again")
        self._replies_used[target] = position + 1
        return JournaledReply(key, Reply.from_json(reply_of(self._log, target, key)))

    def _note(self, target: str, key: str, what: str) -> None:
        name = EventName(LLM_CALL, target, key)
        self.other_requests[name] = [f"{name}: {what}"]


def request_key(name: str, request: Mapping[str, Any]) -> str:
    """A request's key in the journal; equal requests to the same model have the same key."""
    return request_hash({"model": name, "request": request})


def reply_of(log: RunLog, target: str, key: str) -> Data:
    """A reply as it was journaled.

    Raises:
        CorruptError: there is none.
    """
    row = log.get(LLM_CALL, target, key)
    if row is None:
        raise CorruptError(
            f"{target}: the journal does not hold the reply {key}; this log was changed or cut short"
        )
    return row["answer"]


def _write_prompt(log: RunLog, request: Mapping[str, Any]) -> str:
    """Write what all requests share, unless it was written before; its id."""
    shared = {name: request[name] for name in ("system", "tools")}
    shared["label"] = request.get("prompt")
    id = request_hash(shared, 16)
    Journal(log).row("prompt", id, lambda: shared)
    return id


def _since_last_reply(messages: list[Any]) -> list[Any]:
    """The messages after the model's last reply."""
    replies = [i for i, message in enumerate(messages) if "reply" in message]
    return messages[replies[-1] + 1 :] if replies else messages


def _shortened(messages: list[Any]) -> str:
    """The last message of the program before the model's last reply, if it is not the first of all."""
    replies = [i for i, message in enumerate(messages) if "reply" in message]
    earlier = [m["text"] for m in messages[1 : replies[-1]] if "text" in m] if replies else []
    return earlier[-1] if earlier else ""
