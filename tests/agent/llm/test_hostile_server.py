"""Servers that redirect, drip, flood or echo the key, over real sockets and both SDKs."""

from __future__ import annotations

import json
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from hubel.agent.llm import SHORTEST_ATTEMPT_S, Patience, attempt_seconds, make_model
from hubel.agent.llm.connection import connect
from hubel.agent.llm.conversation import Request, ToolSchema, UserMessage
from hubel.agent.llm.errors import ModelError, Rejected, Unreachable
from hubel.agent.runlog.model_config import ModelConfig
from hubel.bench.soak.hostile_server import (
    HostileServer,
    Respond,
    answering,
    gzipped,
    http_response,
    reply,
    sending,
    without_end,
)
from hubel.tools.errors import UsageError

PROVIDERS = pytest.mark.parametrize("provider", ["openai", "anthropic"])
READY = ToolSchema("ready", "Says that you are ready.", {"type": "object", "properties": {}})
REQUEST = Request("system", (UserMessage("hello"),), (READY,))
KEY = "sk-proj-9hQ2LsZr7TgXvB4nWc8yKd1mFa6eRu3j"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def url_of(server: HostileServer, provider: str) -> str:
    return server.url if provider == "openai" else server.url.removesuffix("/v1")


def ask(server: HostileServer, provider: str, timeout_s: float = 20.0) -> Any:
    config = ModelConfig(f"{provider}:mind", url_of(server, provider))
    patience = Patience(0.05, first_pause_s=0.01)
    with closing(make_model(config, patience, timeout_s)) as client:
        return client.reply(REQUEST)


@PROVIDERS
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temp", "308 Perm"])
def test_no_redirect_leads_to_another_server(provider: str, status: str) -> None:
    with HostileServer(answering(reply(provider, "stolen"))) as other:
        places = (
            other.url,
            f"http://localhost:{other.port}/v1",
            f"//127.0.0.1:{other.port}/v1",
            f"https://127.0.0.1:{other.port}/v1",
        )
        for place in places:
            redirect = answering(b"", status, f"location: {place}")
            with HostileServer(redirect) as server, pytest.raises(Rejected) as caught:
                ask(server, provider)
            assert f"127.0.0.1:{server.port}" in str(caught.value)
            assert f":{other.port}" in str(caught.value)
            assert "--base-url" in str(caught.value)
        assert other.requests == []


@PROVIDERS
def test_a_redirect_on_the_same_server_is_followed_a_few_times(provider: str) -> None:
    def once(connection: socket.socket, request: bytes) -> None:
        if b"moved" in request.split(b"\r\n")[0]:
            connection.sendall(http_response(json.dumps(reply(provider, "here")).encode()))
        else:
            connection.sendall(http_response(b"", "307 Temp", "location: /moved"))

    with HostileServer(once) as server:
        assert ask(server, provider).text == "here"
    with HostileServer(answering(b"", "307 Temp", "location: /again")) as server:
        with pytest.raises(Rejected, match="redirect"):
            ask(server, provider)
        assert len(server.requests) < 10


@PROVIDERS
@pytest.mark.parametrize("location", ["http://[", "http://a:b:c/", "http://é\x1b[2J/", "ftp:///x"])
def test_a_redirect_to_nowhere_is_one_line(provider: str, location: str) -> None:
    redirect = f"HTTP/1.1 307 T\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
    with HostileServer(sending(lambda: [redirect])) as server, pytest.raises(ModelError) as caught:
        ask(server, provider)
    assert "\x1b" not in str(caught.value)


@PROVIDERS
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_sees_what_is_sent_to_loopback(
    provider: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileServer(answering(reply(provider, "through the proxy"))) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with HostileServer(answering(reply(provider, "direct"))) as server:
            address = url_of(server, provider).replace("127.0.0.1", host)
            client = make_model(ModelConfig(f"{provider}:mind", address))
            assert client.reply(REQUEST).text == "direct"
            client.close()
        assert proxy.requests == []


@PROVIDERS
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
def test_other_hosts_are_asked_through_the_environments_proxy(
    provider: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileServer(answering(reply(provider, "through the proxy"))) as proxy:
        monkeypatch.setenv(variable, f"127.0.0.1:{proxy.port}")
        client = make_model(ModelConfig(f"{provider}:mind", "http://models.example/v1"))
        assert client.reply(REQUEST).text == "through the proxy"
        client.close()


def drip(whole: bytes) -> Iterator[bytes]:
    """One byte at a time, at a pace that no timeout of a single read notices."""
    for place in range(len(whole)):
        yield whole[place : place + 1]
        time.sleep(0.02)


@PROVIDERS
@pytest.mark.parametrize(
    "respond",
    [
        sending(lambda: drip(http_response(b"{" + b" " * 5000))),
        without_end(b"HTTP/1.1 200 OK\r\n", b"x", 0.02),
        without_end(CHUNKED, b"1\r\n \r\n", 0.02),
        without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
        without_end(b"HTTP/1.1 500 Bad\r\ncontent-length: 9999999\r\n\r\n", b"x", 0.02),
    ],
    ids=["body", "header", "chunks", "informational", "error"],
)
def test_a_reply_that_drips_has_one_deadline(provider: str, respond: Respond) -> None:
    with HostileServer(respond) as server, pytest.raises(Unreachable, match="in time"):
        ask(server, provider, timeout_s=0.4)


def test_patience_limits_an_attempt() -> None:
    assert attempt_seconds(600.0, 600.0) == 600.0
    assert attempt_seconds(600.0, 60.0) == 60.0
    assert attempt_seconds(600.0, 0.0) == SHORTEST_ATTEMPT_S
    assert attempt_seconds(0.3, 60.0) == 0.3


@PROVIDERS
@pytest.mark.parametrize(
    "respond",
    [
        without_end(CHUNKED, b"100000\r\n" + b" " * 0x100000 + b"\r\n"),
        without_end(b"HTTP/1.1 200 OK\r\ncontent-length: 3000000000\r\n\r\n", b" " * 0x100000),
        without_end(b"HTTP/1.1 400 Bad\r\ncontent-length: 3000000000\r\n\r\n", b"<" * 0x100000),
        pytest.param(
            without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4000), marks=pytest.mark.slow
        ),
        sending(
            lambda: [
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n",
                *gzipped(b" " * 0x100000, 40),
            ]
        ),
        sending(
            lambda: [
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip\r\nconnection: close\r\n\r\n",
                *gzipped(b"".join(gzipped(b" " * 0x100000, 200)), 1),
            ]
        ),
    ],
    ids=["chunks", "body", "error", "informational", "gzip", "nested"],
)
def test_a_reply_has_a_largest_size(provider: str, respond: Respond) -> None:
    with HostileServer(respond) as server, pytest.raises(ModelError, match="more than"):
        ask(server, provider)
    assert len(server.requests) == 1, "a flood is not asked for again"


@PROVIDERS
def test_compressed_replies_are_read(provider: str) -> None:
    body = b"".join(gzipped(json.dumps(reply(provider, "small")).encode(), 1))
    with HostileServer(answering(body, "200 OK", "content-encoding: gzip")) as server:
        assert ask(server, provider).text == "small"


@PROVIDERS
@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip, gzip, gzip, gzip, gzip", "br", "zstd"])
def test_codings_that_cannot_be_read_are_one_line(provider: str, coding: str) -> None:
    answer = answering(b"not compressed", "200 OK", f"content-encoding: {coding}")
    with HostileServer(answer) as server, pytest.raises(ModelError) as caught:
        ask(server, provider)
    assert "\n" not in str(caught.value)


@PROVIDERS
@pytest.mark.parametrize(
    "value",
    ["[" * 100_000, '{"a":' * 100_000, "[" + "[]," * 1_000_000 + "[]]", "1" * 5000, "1e999"],
    ids=["deep", "deep objects", "many", "digits", "infinite"],
)
def test_odd_json_is_an_unreadable_call_or_one_line(provider: str, value: str) -> None:
    bodies = (value, json.dumps(reply(provider, "x", [{}])).replace("{}", value))
    for body in bodies:
        with HostileServer(answering(body.encode())) as server:
            seen = seen_of(server, provider)
        assert seen.startswith("{") or len(seen.splitlines()[-1]) < 1000


@PROVIDERS
def test_a_hundred_thousand_calls_are_refused(provider: str) -> None:
    body = reply(provider, "", [{}] * 100_000)
    with HostileServer(answering(body)) as server, pytest.raises(ModelError, match="more than"):
        ask(server, provider)
    body = reply(provider, "", [{}] * 1000)
    with HostileServer(answering(body)) as server, pytest.raises(ModelError, match="1,000 tool"):
        ask(server, provider)


@PROVIDERS
def test_a_text_of_a_million_characters_is_refused(provider: str) -> None:
    for body in (reply(provider, "x" * 2_000_000), reply(provider, "", [{"a": "x" * 2_000_000}])):
        with (
            HostileServer(answering(body)) as server,
            pytest.raises(ModelError, match="characters"),
        ):
            ask(server, provider)


@PROVIDERS
def test_half_characters_of_a_reply_are_replaced(provider: str) -> None:
    body = reply(provider, "a\ud800b", [{"formula\udfff": 'words("\ud800")'}])
    with HostileServer(answering(body)) as server:
        answer = ask(server, provider)
    json.dumps(answer.to_json(), ensure_ascii=False).encode()  # does not raise
    assert answer.text == "a�b"
    assert answer.calls[0].arguments == {"formula�": 'words("�")'}


def spelled(text: str) -> list[str]:
    """A key as servers may send it back."""
    escapes = "".join(f"\\u{ord(c):04x}" for c in text)
    percent = "".join(f"%{ord(c):02X}" for c in text)
    return [text, escapes, percent, f"{text[:20]}", text[-20:], text[:20] + '" , "' + text[20:]]


@PROVIDERS
def test_no_reply_and_no_error_holds_the_key(provider: str) -> None:
    for spelling in spelled(KEY):
        good = json.dumps(reply(provider, "KEY", [{"a": "KEY"}], KEY="KEY"))
        bodies = [
            (good, "200 OK"),
            (json.dumps({"error": {"message": "wrong key KEY"}}), "401 No"),
            ("<html>KEY</html>", "200 OK"),
            ('{"cut": "KEY', "200 OK"),
            ("KEY", "503 KEY"),
        ]
        for body, status in bodies:
            parts = [part.replace("KEY", spelling) for part in (body, status)]
            extra = f"x-ratelimit-remaining-requests: {KEY}", f"x-request-id: {KEY}"
            answer = answering(parts[0].encode(), parts[1].replace("\\", "/"), *extra)
            with HostileServer(answer) as server:
                seen = seen_of(server, provider)
            assert not any(KEY[i : i + 15] in seen for i in range(len(KEY) - 14)), seen
            assert KEY not in seen.replace('", "', "")


def seen_of(server: HostileServer, provider: str) -> str:
    """A reply as it is stored, or the whole traceback of its error."""
    try:
        return json.dumps(ask(server, provider).to_json())
    except ModelError as error:
        return chain(error)


def chain(error: BaseException) -> str:
    """All that a traceback would show of an error."""
    return "".join(traceback.format_exception(error))


def test_the_key_is_masked_in_utf_16_too() -> None:
    body = json.dumps(reply("openai", f"your key is {KEY}")).encode("utf-16")
    with HostileServer(answering(body)) as server:
        assert ask(server, "openai").text == "your key is [secret]"


@PROVIDERS
def test_the_list_of_models_is_limited_and_masked(provider: str) -> None:
    body = {"data": [{"id": f"{KEY}\x1b[2J"}], "id": KEY}
    with HostileServer(answering(body)) as server:
        config = ModelConfig(f"{provider}:mind", url_of(server, provider))
        with closing(connect(config)) as connection:
            assert KEY not in json.dumps(connection.models().body)
    with (
        HostileServer(without_end(CHUNKED, b"100000\r\n" + b" " * 0x100000 + b"\r\n")) as server,
        closing(connect(ModelConfig(f"{provider}:m", url_of(server, provider)))) as connection,
        pytest.raises(ModelError, match="more than"),
    ):
        connection.models()


@pytest.mark.parametrize(
    "address",
    [
        "http://user:pass-word@127.0.0.1:1/v1",
        "http://pass-word@127.0.0.1:1/v1",
        "http://127.0.0.1:1/v1?api_key=pass-word",
        "http://127.0.0.1:1/v1?token=pass-word#x",
    ],
)
def test_a_base_url_with_a_password_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(UsageError, match="OPENAI_BASE_URL") as caught:
        make_model(ModelConfig("openai:mind", address))
    assert "pass-word" not in chain(caught.value)


def test_the_login_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with HostileServer(answering(reply("openai", "in, user:pass-word dXNlcjpwYXNzLXdvcmQ="))) as s:
        login = s.url.replace("http://", "http://user:pass-word@")
        monkeypatch.setenv("OPENAI_BASE_URL", login + "?api_key=query-secret")
        for base_url in (s.url, ""):
            client = make_model(ModelConfig("openai:mind", base_url))
            answer = client.reply(REQUEST)
            client.close()
            assert b"Authorization: Basic dXNlcjpwYXNzLXdvcmQ=" in s.requests[-1]
            assert b"api_key=query-secret" in s.requests[-1].split(b"\r\n")[0]
            assert b"/v1/chat/completions?" in s.requests[-1].split(b"\r\n")[0]
            assert answer.text == "in, [secret] [secret]"
    with HostileServer(answering(reply("openai", "another server"))) as other:
        client = make_model(ModelConfig("openai:mind", other.url))
        client.reply(REQUEST)
        client.close()
        assert b"Basic" not in other.requests[0]


@pytest.mark.parametrize("address", ["127.0.0.1:1/v1", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_what_is_not_an_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="http"):
        make_model(ModelConfig("openai:mind", address))


@pytest.mark.parametrize("wrong", ["schlüssel-12345", "key\nwith-a-line", "key\x7fdel"])
def test_a_key_that_no_header_can_hold_is_refused(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", wrong)
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
        make_model(ModelConfig("openai:mind", "http://127.0.0.1:1/v1"))
    assert wrong not in chain(caught.value)
