"""What is found out before anything is loaded: key, server, model, tools, window."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hubel.agent.llm import preflight
from hubel.agent.llm.conversation import Reply, Request, ToolCall
from hubel.agent.runlog.model_config import ModelConfig
from hubel.bench.loopback import Loopback, Rule, Script
from hubel.bench.loopback.server import WireReply
from hubel.tools.errors import UsageError

PROVIDERS = pytest.mark.parametrize("provider", ["openai", "anthropic"])


class ProbedModel:
    """Calls a tool when it has one, if it can."""

    name = "openai:mind"

    def __init__(self, able: bool = True) -> None:
        self.able = able

    def reply(self, request: Request) -> Reply:
        if request.tools and self.able:
            return Reply("", (ToolCall("c", request.tools[0].name, {}, "{}"),), "tools")
        return Reply("I am ready.")


def config(server: Loopback, provider: str, model: str = "mind") -> ModelConfig:
    return ModelConfig(f"{provider}:{model}", server.url(provider), tools="auto")


@PROVIDERS
def test_a_wrong_key_or_model_is_one_line(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback(ProbedModel(), script=Script(key="right", models=("mind",))) as server:
        with pytest.raises(UsageError, match="answers 401"):
            preflight(config(server, provider))
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", "right")
        assert preflight(config(server, provider)).tools == "native"
        with pytest.raises(UsageError, match="no model 'mint'"):
            preflight(config(server, provider, "mint"))


@PROVIDERS
def test_a_server_without_a_list_is_asked_one_tiny_question(provider: str) -> None:
    with Loopback(
        ProbedModel(),
        script=Script(rules=(Rule(model="mint", status=404, message="model not found"),)),
    ) as server:
        assert preflight(config(server, provider)).tools == "native"
        assert len(json.dumps(server.bodies)) < 800
        with pytest.raises(UsageError, match="model not found"):
            preflight(config(server, provider, "mint"))
        asked = len(server.bodies)
        preflight(config(server, provider), explains=False)
        assert "tools" not in server.bodies[asked]


@PROVIDERS
def test_a_model_without_tool_calls_is_asked_in_words(provider: str) -> None:
    with Loopback(ProbedModel(able=False)) as server:
        assert preflight(config(server, provider)).tools == "text"
    none = Rule(status=400, message="this model does not support tools")
    with Loopback(ProbedModel(), script=Script(rules=(none,))) as server:
        assert preflight(config(server, provider)).tools == "text"


@pytest.mark.parametrize(
    "entry",
    [
        {"max_model_len": 2048},
        {"meta": {"n_ctx": 2048}},
        {"context_length": 2048},
        {"max_input_tokens": 2048},
    ],
)
def test_a_window_that_is_too_small_is_refused_where_the_server_tells(
    entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = json.dumps({"data": [{"id": "mind"} | entry]}).encode()
    with Loopback(ProbedModel(), script=Script(models=("mind",))) as server:
        monkeypatch.setattr(server, "listed", lambda path: WireReply(200, listed))
        with pytest.raises(UsageError, match=r"window of 2,048 tokens.*--max-model-len"):
            preflight(config(server, "openai"))
        assert preflight(config(server, "openai"), explains=False).window == 2048


def test_what_is_no_such_server_is_said_before_anything_is_loaded() -> None:
    for fault in ("html", "list", "no_json"):
        with Loopback(ProbedModel(), script=Script(rules=(Rule(fault=fault),))) as server:
            with pytest.raises(UsageError, match=r"--base-url|another protocol"):
                preflight(config(server, "openai"))
            busy = replace(config(server, "openai"), tools="native")
            with pytest.raises(UsageError):
                preflight(busy)
