"""Our own patience over both SDKs, against a server that is busy, broken, wrong or gone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hubel.agent.llm import Patience, make_model
from hubel.agent.llm.connection import TIMEOUT_S
from hubel.agent.llm.conversation import (
    Client,
    Reply,
    Request,
    TokenUsage,
    ToolCall,
    ToolSchema,
    UserMessage,
)
from hubel.agent.llm.errors import ModelError, NoTools, Rejected, TooLong, Unreachable
from hubel.agent.runlog.model_config import ModelConfig
from hubel.agent.runlog.stopping import Stopped
from hubel.bench.loopback import Loopback, Rule, Script
from hubel.bench.loopback.faults import BODIES

PROVIDERS = pytest.mark.parametrize("provider", ["openai", "anthropic"])
REQUEST = Request("system", (UserMessage("hello"),))


class CompliantModel:
    name = "openai:mind"

    def reply(self, request: Request) -> Reply:
        calls = tuple(ToolCall("c0", tool.name, {}, "{}") for tool in request.tools[:1])
        return Reply("done", calls, "tools" if calls else "end")


def quick(limit_s: float = 20.0, **other: Any) -> Patience:
    return Patience(limit_s, first_pause_s=0.01, **other)


def client(
    server: Loopback,
    provider: str,
    patience: Patience | None = None,
    timeout_s: float = TIMEOUT_S,
    **settings: Any,
) -> Client:
    config = ModelConfig(f"{provider}:mind", server.url(provider), **settings)
    return make_model(config, patience or quick(), timeout_s)


def serving(*rules: Rule, **script: Any) -> Loopback:
    return Loopback(CompliantModel(), script=Script(rules=rules, **script))


@pytest.mark.slow
@PROVIDERS
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_transient_errors_are_waited_out_and_logged(provider: str, status: int) -> None:
    with serving(Rule(at=(1, 2), status=status, headers={"retry-after-ms": "20"})) as server:
        reply = client(server, provider).reply(REQUEST)
        assert len(server.bodies) == 3
    assert reply.text == "done"
    assert [wait.failed for wait in reply.waits].count(True) == 2
    assert all(str(status) in wait.why for wait in reply.waits if wait.failed)
    assert sum(wait.seconds for wait in reply.waits) >= 0.04


@pytest.mark.slow
@PROVIDERS
@pytest.mark.parametrize("fault", ["reset", "cut", "truncated", "half_json"])
def test_broken_connections_and_answers_cut_short_are_asked_for_again(
    provider: str, fault: str
) -> None:
    with serving(Rule(at=(1,), fault=fault)) as server:
        reply = client(server, provider).reply(REQUEST)
        assert len(server.bodies) == 2
    assert (reply.text, len(reply.waits)) == ("done", 1)


@PROVIDERS
def test_a_silent_server_is_asked_again_after_the_timeout(provider: str) -> None:
    with serving(Rule(at=(1,), fault="hang")) as server:
        reply = client(server, provider, timeout_s=0.3).reply(REQUEST)
    assert "in time" in reply.waits[0].why


@pytest.mark.slow
@PROVIDERS
@pytest.mark.parametrize(
    ("status", "error", "message", "advice"),
    [
        (400, "invalid_request_error", "temperature", "names first"),
        (401, "authentication_error", "no", "Is the key in"),
        (402, "billing_error", "no", "no credit"),
        (403, "permission_error", "no", "May the key in"),
        (404, "not_found_error", "no", "whole name"),
        (413, "too_large", "no", "too large"),
        (429, "insufficient_quota", "You exceeded your current quota", "no credit"),
        (400, "invalid_request_error", "Your credit balance is too low", "no credit"),
    ],
)
def test_permanent_errors_are_not_retried(
    provider: str, status: int, error: str, message: str, advice: str
) -> None:
    with serving(
        Rule(status=status, error=error, message=message, headers={"retry-after": "100"})
    ) as server:
        with pytest.raises(Rejected, match=advice):
            client(server, provider).reply(REQUEST)
        assert len(server.bodies) == 1


@PROVIDERS
def test_a_window_that_is_too_small_and_missing_tools_have_their_own_advice(provider: str) -> None:
    long = "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens"
    with (
        serving(Rule(status=400, message=long)) as server,
        pytest.raises(TooLong, match="longer context"),
    ):
        client(server, provider).reply(REQUEST)
    none = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    with (
        serving(Rule(status=400, message=none)) as server,
        pytest.raises(NoTools, match="--tools text"),
    ):
        client(server, provider).reply(REQUEST)
    ollama = "registry.ollama.ai/library/tiny does not support tools"
    with serving(Rule(status=400, message=ollama)) as server, pytest.raises(NoTools):
        client(server, provider).reply(REQUEST)


@pytest.mark.slow
@PROVIDERS
@pytest.mark.parametrize("fault", sorted(BODIES))
def test_no_body_is_more_than_a_model_error(provider: str, fault: str) -> None:
    """Usage that is no number of tokens is None, and never breaks a sum."""
    with serving(Rule(fault=fault)) as server:
        try:
            reply = client(server, provider, quick(0.05)).reply(REQUEST)
        except ModelError:
            return
    usage = reply.usage or TokenUsage()
    assert all(
        type(n) is int and 0 <= n < 10**10 for n in (usage.input, usage.output, usage.cache_read)
    )
    if fault in (
        "counts_are_text",
        "counts_are_negative",
        "counts_are_huge",
        "usage_is_text",
        "no_usage",
    ):
        assert reply.usage is None


@PROVIDERS
def test_a_page_for_people_says_what_to_look_at(provider: str) -> None:
    with (
        serving(Rule(fault="html")) as server,
        pytest.raises(ModelError, match=r"HTML.*--base-url"),
    ):
        client(server, provider).reply(REQUEST)
    with serving(Rule(fault="list")) as server, pytest.raises(ModelError, match="JSON list"):
        client(server, provider).reply(REQUEST)


@PROVIDERS
def test_a_server_that_asks_for_hours_is_not_believed(provider: str) -> None:
    patience = quick(0.5, longest_pause_s=0.1)
    with serving(Rule(at=(1,), status=429, headers={"retry-after": "86400"})) as server:
        reply = client(server, provider, patience).reply(REQUEST)
    assert reply.text == "done"
    assert reply.waits[0].seconds < 0.2


def test_a_server_is_unreachable_after_the_limit() -> None:
    with (
        serving(Rule(status=529)) as server,
        pytest.raises(Unreachable, match=r"529.*asked \d+ times.*hubel resume"),
    ):
        client(server, "openai", quick(0.2)).reply(REQUEST)
    with pytest.raises(Unreachable, match="no connection to http://127"):
        make_model(ModelConfig("openai:m", base_url="http://127.0.0.1:9/v1"), quick(0.1)).reply(
            REQUEST
        )


def test_a_wait_ends_at_once_when_asked_to_stop() -> None:
    stopped = threading.Event()
    with (
        serving(Rule(status=429, headers={"retry-after": "60"})) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(client(server, "openai", quick(600, stopped=stopped)).reply, REQUEST)
        while not server.bodies:
            time.sleep(0.01)
        stopped.set()
        with pytest.raises(Stopped):
            waiting.result(timeout=30)
        assert len(server.bodies) == 1


@pytest.mark.slow
def test_many_slow_down_together_by_what_the_headers_say() -> None:
    """More is asked than a minute allows: some wait, and hardly one is refused, since all go by the same headers."""
    patience = quick()
    with serving(requests_a_minute=120) as server:
        clients = [client(server, "openai", patience) for _ in range(16)]
        clients[0].reply(REQUEST)
        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(lambda n: clients[n % 16].reply(REQUEST), range(122)))
        answers = server.ledger.to_json()["answers"]
    assert answers["answered"] == 123
    assert answers.get("error", 0) <= 3
    assert any(
        "rate limit" in wait.why and not wait.failed for reply in replies for wait in reply.waits
    )


@pytest.mark.slow
@PROVIDERS
def test_after_a_refusal_all_wait_and_few_come_back_at_once(provider: str) -> None:
    """All of twelve are refused once; nobody asks while the server said to wait."""
    patience = quick()
    barrier = threading.Barrier(12)

    def ask(_: int) -> Reply:
        mine = client(server, provider, patience)
        barrier.wait(timeout=20)
        return mine.reply(REQUEST)

    with serving(
        Rule(at=tuple(range(1, 13)), status=429, headers={"retry-after-ms": "400"})
    ) as server:
        with ThreadPoolExecutor(12) as pool:
            replies = list(pool.map(ask, range(12)))
        count = len(server.bodies)
    assert all(reply.text == "done" for reply in replies)
    assert count <= 24


def test_anthropic_is_forced_to_tools_unless_it_thinks() -> None:
    request = Request(
        "s", (UserMessage("go"),), (ToolSchema("t", "", {"type": "object"}),), tool_choice="any"
    )
    with serving() as server:
        client(server, "anthropic").reply(request)
        client(server, "anthropic", thinking="adaptive", effort="high").reply(request)
        forced, thinks = server.bodies
    assert forced["tool_choice"] == {"type": "any"}
    assert "thinking" not in forced
    assert thinks["tool_choice"] == {"type": "auto"}
    assert (thinks["thinking"], thinks["output_config"]) == (
        {"type": "adaptive"},
        {"effort": "high"},
    )
    refused = Rule(
        at=(1,), status=400, message="tool_choice forces tool use, which thinking does not allow"
    )
    with serving(refused) as server:
        assert client(server, "anthropic").reply(request).calls
        assert [body["tool_choice"]["type"] for body in server.bodies] == ["any", "auto"]
