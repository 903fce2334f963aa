"""Anthropic's wire: what of a reply goes back to it."""

from __future__ import annotations

from typing import Any

import pytest

from hubel.agent.llm import make_model
from hubel.agent.llm.conversation import (
    AssistantMessage,
    Reply,
    Request,
    ToolCall,
    ToolResult,
    ToolResults,
    UserMessage,
)
from hubel.agent.runlog.model_config import ModelConfig
from hubel.bench.loopback import Loopback

CALL = ToolCall("call_0", "propose", {"n": 1}, '{"n": 1}')
ANSWER = (UserMessage("hello"), ToolResults((ToolResult("call_0", "taken"),)))


class TerseModel:
    name = "anthropic:mind"

    def reply(self, request: Request) -> Reply:
        """Words and nothing else."""
        return Reply("hm")


def sent_back(native: Any) -> Any:
    """The blocks of a reply as the server got them in the request behind it; it refuses what the API refuses."""
    with Loopback(TerseModel()) as server:
        client = make_model(ModelConfig("anthropic:mind", base_url=server.url("anthropic")))
        hello, results = ANSWER
        said = AssistantMessage(Reply("", (CALL,), "tools", native=native))
        assert client.reply(Request("", (hello, said, results))).text == "hm"
        client.close()
        return server.bodies[0]["messages"][1]["content"]


USED = {"type": "tool_use", "id": "call_0", "name": "propose", "input": {"n": 1}}


def test_thinking_goes_back_as_it_came() -> None:
    thought = {"type": "thinking", "thinking": "so", "signature": "abc"}
    hidden = {"type": "redacted_thinking", "data": "xyz"}
    assert sent_back([thought, hidden, USED]) == [thought, hidden, USED]


@pytest.mark.parametrize(
    ("added", "left"),
    [
        (
            {"type": "text", "text": "hm", "parsed_output": {"a": 1}, "index": 0},
            [{"type": "text", "text": "hm"}],
        ),
        ({"type": "text", "text": " "}, []),
        ({"type": "text", "text": 7}, []),
        ({"type": "surprise", "text": "hm"}, []),
    ],
)
def test_what_the_api_does_not_take_is_left_out(
    added: dict[str, Any], left: list[dict[str, Any]]
) -> None:
    assert sent_back([added, USED | {"index": 1}]) == [*left, USED]


def test_arguments_that_are_no_object_go_back_as_an_empty_one() -> None:
    assert sent_back([USED | {"input": "{"}]) == [USED | {"input": {}}]


def test_a_reply_without_blocks_of_its_own_is_said_in_their_form() -> None:
    assert sent_back(None) == [USED]
