"""Keys of this process never show, however they are spelled; other text stays as it is."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest

from hubel.tools.files.secrets import MASK, has_login, mask, mask_message, without_login

KEY = "sk-proj-9hQ2LsZr7TgXvB4nWc8yKd1mFa6eRu3j"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HTTP_PROXY", "http://somebody:Open%2DSesame@proxy.example:3128")
    monkeypatch.setenv("OTHER_API_KEY", "ollama")
    monkeypatch.setenv("SSL_KEY", "/etc/ssl/private.pem")


@pytest.mark.parametrize(
    "spelled",
    [
        KEY,
        json.dumps(KEY),
        json.dumps(json.dumps({"a": KEY})),
        "".join(f"\\u{ord(c):04x}" for c in KEY),
        "".join(f"\\\\u{ord(c):04X}" for c in KEY),
        "".join(f"\\x{ord(c):02x}" for c in KEY),
        "".join(f"%{ord(c):02x}" for c in KEY),
        quote(KEY, safe=""),
        "".join(f"&#x{ord(c):x};" for c in KEY),
        "".join(f"&#{ord(c)};" for c in KEY[:3]) + KEY[3:],
        KEY[:16],
        KEY[-17:],
        KEY * 3,
        "Open-Sesame",
        "Open%2DSesame",
        "somebody:Open-Sesame",
    ],
)
def test_a_secret_is_masked(spelled: str) -> None:
    masked = mask(f"before {spelled} after")
    assert MASK in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert len(masked.replace(MASK, "")) <= len("before  after") + 20


@pytest.mark.parametrize(
    "text",
    ["", "sk-", "ollama answers", "/etc/ssl/private.pem", "\ud800", "a%zz \\u12", "proxy.example"],
)
def test_other_text_stays(text: str) -> None:
    assert mask(text) is text


def test_more_secrets_can_be_given() -> None:
    assert mask("the word open-sesame", ["open-sesame"]) == f"the word {MASK}"
    assert mask("none", ["none"]) == "none"


def test_messages_lose_what_logs_in_at_addresses() -> None:
    assert mask_message("no http://a:b@host/v1?x=1&api_key=abc&y=2 there") == (
        f"no http://{MASK}@host/v1?x=1&api_key={MASK}&y=2 there"
    )
    assert mask_message("http://host/a@b?k=1") == "http://host/a@b?k=1"


@pytest.mark.parametrize(
    ("address", "clean"),
    [
        ("http://a:b@host:1/v1", "http://host:1/v1"),
        ("a:b@host/v1", "host/v1"),
        ("http://a@[::1]:8/v1?token=x", "http://[::1]:8/v1"),
        ("http://host/v1?api-key=x#y", "http://host/v1"),
        ("http://a:b@host/v1?key=x&next=http://c:d@e/", "http://host/v1"),
        ("http://host/v1#access_token=x", "http://host/v1"),
    ],
)
def test_addresses_with_logins(address: str, clean: str) -> None:
    assert has_login(address)
    assert without_login(address) == clean
    assert not has_login(clean)


@pytest.mark.parametrize(
    "address", ["", "http://host/v1", "http://host/@x?version=2024", "host:80"]
)
def test_addresses_without(address: str) -> None:
    assert not has_login(address)
    assert without_login(address) == address


@pytest.mark.parametrize("text", ["\\" * 300_000, "%" * 300_000, KEY[:7] * 50_000, "a" * 300_000])
def test_no_text_takes_quadratic_time(text: str) -> None:
    started = time.process_time()
    assert mask_message(text) == text
    assert time.process_time() - started < 20  # quadratic: hours
