"""Scripted language models for tests, which need no server (`agent.llm.conversation`)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from hubel.agent.explainers.language_model.shorten import TITLE
from hubel.agent.llm.conversation import (
    Reply,
    Request,
    TokenUsage,
    ToolCall,
    ToolResults,
    UserMessage,
)

Calls = Sequence[tuple[str, dict[str, Any]]]
Script = Callable[[int, Request], Reply]


def reply(*calls: tuple[str, dict[str, Any]], text: str = "", stop: str = "tools") -> Reply:
    """A reply that calls tools."""
    tool_calls = tuple(
        ToolCall(id=f"c{i}", name=name, arguments=arguments, raw=json.dumps(arguments))
        for i, (name, arguments) in enumerate(calls)
    )
    usage = TokenUsage(input=100, output=20, cache_read=60, cache_write=0)
    return Reply(text=text, calls=tool_calls, stop=stop, usage=usage, model="test-1", native=None)  # type: ignore[arg-type]


class ScriptedModel:
    """Replies from a script, which is called with the number of the request."""

    name = "openai:test"

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        self._script, self._lock = script, threading.Lock()

    def reply(self, request: Request) -> Reply:
        """The script's reply to the request."""
        with self._lock:
            self.requests.append(request)
        return self._script(len(self.requests), request)


def is_second_look(request: Request) -> bool:
    """Whether the request belongs to a second look."""
    return any(tool.name == "challenge" for tool in request.tools)


def turn_of(request: Request) -> int:
    """Replies of this conversation so far that were not all error."""
    answered = [m.results for m in request.messages if isinstance(m, ToolResults)]
    shortened = [m for m in request.messages if isinstance(m, UserMessage) and TITLE in m.text]
    return len(shortened) + sum(not all(result.error for result in results) for results in answered)


def experiments(
    hypothesis: str | None, n: int, words: str = "the cat sat on the river"
) -> list[dict[str, Any]]:
    """Experiments that come out as predicted: anything is within a million."""
    plans = []
    for i in range(n):
        plan: dict[str, Any] = {
            "text": f"{words} {i}",
            "predicts": "within",
            "low": -1e6,
            "high": 1e6,
        }
        plans.append(plan | ({"hypothesis": hypothesis} if hypothesis else {}))
    return plans


def silent(hypothesis: str | None, n: int) -> list[dict[str, Any]]:
    """Experiments that predict silence; whether they keep it is the subject's affair."""
    plans = []
    for i in range(n):
        plan = {"text": f"Monday cat {i} river bank", "focus": "cat", "predicts": "silent"}
        plans.append(plan | ({"hypothesis": hypothesis} if hypothesis else {}))
    return plans


HYPOTHESES = [
    {"sentence": 'Fires on "the".', "predicate": 'strongly words("the")'},
    {
        "sentence": "Fires on weekdays.",
        "predicate": 'strongly words("monday", "tuesday") - slightly words("of")',
    },
]


def diligent(number: int, request: Request) -> Reply:
    """Proposes two rivals, tests them, looks something up, and concludes with the first; refutes when asked to."""
    if is_second_look(request):
        return reply(
            ("challenge", {"experiments": experiments(None, 4, "very red") + silent(None, 2)})
        )
    turn = turn_of(request)
    if turn == 0:
        return reply(
            ("propose", {"hypotheses": HYPOTHESES}),
            ("experiment", {"experiments": experiments("h1", 6) + silent("h1", 3)}),
            ("activations_exemplars", {"unit": "U", "side": "-", "k": 2}),
        )
    if turn == 1:
        search = ("activations_search", {"text": "the cat sat on the river bank", "k": 3})
        return reply(
            ("experiment", {"experiments": silent("h2", 3)}), ("logit_lens", {"unit": "U"}), search
        )
    if turn == 2:
        return reply(
            ("activations_exemplars", {"unit": "U1", "k": 1}),
            ("ablate", {"texts": ["the cat said the"]}),
        )
    return reply(
        (
            "conclude",
            {"hypothesis": "h1", "findings": 'It reads "the" [e1]. It once reached 123.456 [e2].'},
        )
    )
