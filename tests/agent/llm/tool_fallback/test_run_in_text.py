"""A whole investigation by a model that knows no tool calls, over both wires."""

from __future__ import annotations

import json

import pytest

from hubel.agent.llm.conversation import (
    Message,
    Reply,
    Request,
    ToolResult,
    ToolResults,
    ToolSchema,
    UserMessage,
)
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.views import target_rows
from hubel.bench.loopback import Loopback
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import diligent


class InWords:
    """`diligent`, who here knows no tools and writes what it would call."""

    name = "openai:test"

    def reply(self, request: Request) -> Reply:
        assert request.tools == ()
        replies = [
            json.loads(line) for line in request.system.splitlines() if line.startswith('{"name"')
        ]
        tools = tuple(ToolSchema(t["name"], t["description"], t["parameters"]) for t in replies)
        request_with_tools = Request(
            request.system, tuple(_heard(m) for m in request.messages), tools
        )
        calls = [
            {"tool": c.name, "arguments": c.arguments}
            for c in diligent(1, request_with_tools).calls
        ]
        return Reply("Next:\n" + "\n".join(f"```json\n{json.dumps(call)}\n```" for call in calls))


def _heard(message: Message) -> Message:
    if isinstance(message, UserMessage) and message.text.startswith("Answers to your calls"):
        return ToolResults((ToolResult("c", message.text),))
    return message


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_investigation_in_words(run_model: RunModel, provider: str) -> None:
    with Loopback(InWords()) as server:
        folder, result = run_model(
            None, explainer=f"{provider}:test", base_url=server.url(provider), tools="text"
        )
        assert all("tools" not in body for body in server.bodies)
    assert result.done == 1
    assert target_rows(folder)[0]["explanation"] == 'Fires on "the".'
    log = RunLog(folder, writable=False)
    # `calls` may be one more: a prompt that counts a multiple of 512 tokens is checked for cuts.
    assert len(log.all("llm_call", "mlp.0.0")) == 6
    assert len(log.all("outcome", "mlp.0.0")) == 16
    assert replay(folder).bitwise
