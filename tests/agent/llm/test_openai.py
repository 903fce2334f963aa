"""The chat-completions wire: what of a reply goes back to a server."""

from __future__ import annotations

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
from tests.bench.test_loopback import ProposingModel


def test_calls_without_words_go_back_to_a_server_at_home_with_empty_words() -> None:
    call = ToolCall("call_0", "propose", {}, "{}")
    made = {"id": "call_0", "type": "function", "function": {"name": "propose", "arguments": "{}"}}
    native = {"role": "assistant", "content": None, "tool_calls": [made]}
    said = (UserMessage("hello"), AssistantMessage(Reply("", (call,), "tools", native=native)))
    with Loopback(ProposingModel()) as server:
        client = make_model(ModelConfig("openai:mind", base_url=server.url("openai")))
        client.reply(Request("", (*said, ToolResults((ToolResult("call_0", "taken"),)))))
        client.close()
        sent = server.bodies[0]["messages"]
    assert [message["content"] for message in sent] == ["", "hello", "", "taken"]
    assert sent[2]["tool_calls"] == [made]
