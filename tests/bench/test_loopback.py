"""The loopback server: what it asks of its clients, what goes wrong on demand, and what its ledger says afterwards."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hubel.agent.llm.conversation import Reply, Request, ToolCall
from hubel.bench.loopback import Loopback, Rule, Script, read_script
from hubel.bench.loopback.faults import BODIES, CONNECTION, NAMES, REPLIES
from hubel.bench.loopback.wires import Provider
from hubel.tools.errors import UsageError

TOOLS = [{"type": "function", "function": {"name": "propose", "description": "", "parameters": {}}}]


class ProposingModel:
    name = "openai:mind"

    def reply(self, request: Request) -> Reply:
        """The same tool call each time."""
        return Reply("hm", (ToolCall("call_0", "propose", {"n": 1}, '{"n": 1}'),), "tools")


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)


def ask(
    server: Loopback,
    words: str = "hello",
    *,
    provider: Provider = "openai",
    room: str = "",
    key: str = "k",
) -> Got:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": words}]}
    if provider == "anthropic":
        body |= {
            "system": [{"type": "text", "text": "s" * 400, "cache_control": {"type": "ephemeral"}}]
        }
    path = server.url(provider, room) + (
        "/chat/completions" if provider == "openai" else "/v1/messages"
    )
    return request(server, "POST", path, json.dumps(body), {"authorization": f"Bearer {key}"})


def request(
    server: Loopback,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> Got:
    host, _, rest = path.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, f"/{rest}", body, headers or {})
        answer = connection.getresponse()
        return Got(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def test_a_key_and_models_are_checked_when_the_script_asks() -> None:
    with Loopback(ProposingModel(), script=Script(key="k", models=("m", "n"))) as server:
        assert ask(server).status == 200
        assert ask(server, key="other").json["error"]["type"] == "authentication_error"
        listed = request(server, "GET", server.url("openai") + "/models").json
        assert [model["id"] for model in listed["data"]] == ["m", "n"]
        assert request(server, "GET", server.url("anthropic") + "/v1/models/n").json["id"] == "n"
        assert request(server, "GET", server.url("openai") + "/models/z").status == 404
    with Loopback(ProposingModel(), script=Script(models=("n",))) as server:
        assert ask(server).status == 404


def test_rules_say_which_requests_go_wrong() -> None:
    rules = (
        Rule(at=(2,), status=529, headers={"retry-after": "3"}),
        Rule(containing="look", calls=[{"name": "conclude", "arguments": {"hypothesis": "h1"}}]),
        Rule(provider="anthropic", stop="refused", text="no"),
        Rule(first=1, times=1, status=429, error="insufficient_quota"),
    )
    with Loopback(ProposingModel(), script=Script(rules=rules)) as server:
        assert ask(server, "one").json["error"]["code"] == "insufficient_quota"
        busy = ask(server, "two")
        assert (busy.status, busy.headers["retry-after"]) == (529, "3")
        assert ask(server, "second look").json["choices"][0]["message"]["tool_calls"][0][
            "function"
        ] == {"name": "conclude", "arguments": '{"hypothesis": "h1"}'}
        assert ask(server, provider="anthropic").json["stop_reason"] == "refusal"
        assert ask(server, "three").json["choices"][0]["finish_reason"] == "tool_calls"


def test_a_share_of_requests_is_drawn_by_what_they_say() -> None:
    def fates() -> list[int]:
        with Loopback(
            ProposingModel(), script=Script(rules=(Rule(share=0.3, status=500),))
        ) as server:
            return [ask(server, f"request {n}").status for n in range(60)]

    statuses = fates()
    assert 6 < statuses.count(500) < 32
    assert fates() == statuses


def test_limits_a_minute_are_held_and_told() -> None:
    with Loopback(
        ProposingModel(), script=Script(requests_a_minute=2, tokens_a_minute=100_000)
    ) as server:
        first, _, third = ask(server), ask(server), ask(server)
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert int(first.headers["x-ratelimit-remaining-tokens"]) < 100_000
        assert (third.status, third.json["error"]["type"]) == (429, "rate_limit_error")
        assert 25 < float(third.headers["retry-after"]) <= 30
        other = ask(server, provider="anthropic")
        assert other.headers["anthropic-ratelimit-requests-remaining"] == "0"


def test_a_prefix_that_was_sent_before_is_read_from_the_cache() -> None:
    with Loopback(ProposingModel()) as server:
        fresh, again = (ask(server).json["usage"] for _ in range(2))
        assert fresh["prompt_tokens_details"]["cached_tokens"] == 0
        assert (
            again["prompt_tokens_details"]["cached_tokens"]
            == again["prompt_tokens"]
            == fresh["prompt_tokens"]
        )
        fresh, again = (
            ask(server, f"hello {n}", provider="anthropic").json["usage"] for n in range(2)
        )
        assert fresh["cache_creation_input_tokens"] == again["cache_read_input_tokens"] >= 100
        assert again["cache_creation_input_tokens"] == 0
        assert again["input_tokens"] > 0


def test_the_ledger_tells_clients_apart_and_counts_what_came_twice() -> None:
    with Loopback(ProposingModel(), script=Script(rules=(Rule(at=(2,), fault="cut"),))) as server:
        ask(server, room="run-1")
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(server, room="run-2")
        ask(server, room="run-2")
        ask(server, room="run-2", provider="anthropic")
        assert (
            sum(server.ledger.asked("run-2").values()),
            sum(server.ledger.answered("run-2").values()),
        ) == (3, 2)
        assert max(server.ledger.asked("run-2").values()) == 2
        seen = request(server, "GET", server.url("anthropic") + "/ledger").json
        assert (seen["requests"], seen["answers"]) == (4, {"answered": 3, "cut": 1})
        assert list(seen["asked_again"].values()) == [2]


def test_the_ledger_says_how_many_were_answered_at_once() -> None:
    with Loopback(ProposingModel(), script=Script(delay_s=0.2)) as server:
        waiting = [threading.Thread(target=ask, args=(server, f"n {n}")) for n in range(4)]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
        busy = server.ledger.in_flight(4)
        assert busy is not None
        assert 2 < busy <= 4
        assert server.ledger.in_flight(5) is None


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_every_fault_is_served(provider: Provider, capfd: pytest.CaptureFixture[str]) -> None:
    names = [name for name in NAMES if name != "hang"]
    rules = tuple(Rule(at=(number,), fault=name) for number, name in enumerate(names, 1))
    got: dict[str, Got | None] = {}
    with Loopback(ProposingModel(), script=Script(rules=rules)) as server:
        for name in names:
            try:
                got[name] = ask(server, provider=provider)
            except (http.client.HTTPException, ConnectionError):
                got[name] = None
    assert [name for name, answer in got.items() if answer is None] == ["reset", "cut", "truncated"]
    assert set(CONNECTION) | set(BODIES) | set(REPLIES) == set(NAMES)
    for name in REPLIES:
        answer = got[name]
        assert answer is not None
        assert ("choices" if provider == "openai" else "content") in answer.json
    assert "Traceback" not in capfd.readouterr().err


def test_a_conversation_that_a_provider_would_refuse_is_refused() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "propose", "arguments": "{}"}}
    conversation = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    with Loopback(ProposingModel()) as server:
        for messages in (
            [*conversation, {"role": "user", "content": "well?"}],
            conversation,
            [],
            "no list",
        ):
            body = json.dumps({"model": "m", "messages": messages, "tools": TOOLS})
            assert (
                request(server, "POST", server.url("openai") + "/chat/completions", body).status
                == 400
            )
        body = json.dumps(
            {
                "model": "m",
                "messages": [
                    *conversation,
                    {"role": "tool", "tool_call_id": "c1", "content": "ok"},
                ],
            }
        )
        assert (
            request(server, "POST", server.url("openai") + "/chat/completions", body).status == 200
        )


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'delay_s = 1\nmodels = ["a"]\n[[rule]]\nevery = 3\nfault = "html"\n'
    )
    (tmp_path / "s.json").write_text(
        '{"delay_s": 1, "models": ["a"], "rule": [{"every": 3, "fault": "html"}]}'
    )
    expected = Script(delay_s=1, models=("a",), rules=(Rule(every=3, fault="html"),))
    assert read_script(tmp_path / "s.toml") == read_script(tmp_path / "s.json") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("delay = 1", "delay: Unexpected"),
        ("[[rule]]\nfault = 'fire'", "unknown fault 'fire'"),
        ("[[rule]]\nevery = 'x'", "rules.0.every"),
        ("[[rule]]\nstop = 'x'", "unknown stop 'x'"),
        ("[[rule]]\nstatus = 99", "status 99"),
        ("[[rule]]\ncalls = [{a = 1}]", "calls"),
        ("[", "is not TOML"),
    ],
)
def test_a_script_that_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_script(tmp_path / "s.toml")
    with pytest.raises(UsageError, match="no script at"):
        read_script(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost:1"}, 404),
        ({"Content-Length": "-1"}, 413),
        ({"Content-Length": "many"}, 413),
        ({"Content-Length": "9" * 30}, 413),
    ],
)
def test_only_programs_on_this_machine_are_answered(headers: dict[str, str], status: int) -> None:
    with Loopback(ProposingModel()) as server:
        port = int(server.url("anthropic").rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.putrequest("POST", "/nothing", skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()
