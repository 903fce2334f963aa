"""A script for a loopback server: what it asks of its clients, and which requests are answered
otherwise.

    key = "sk-test"                  # any other is refused with 401; left out, all are taken
    models = ["beginner", "cheap"]   # its list of models; any other is refused with 404; left out, it keeps no list
    delay_s = 2.0                    # before every answer
    requests_a_minute = 60           # more are refused with 429, and every answer says what is left
    tokens_a_minute = 40000

    [[rule]]                         # the first rule that fits a request says what becomes of it
    at = [3, 4]                      # the third and fourth request of all; or every = 10; or first = 2, the first two
    status = 529                     #   times that each request comes; or share = 0.1, drawn by a hash of the request
    headers = { retry-after = "2" }

    [[rule]]
    provider = "openai"              # fits this protocol only; so do model = "..." and containing = "words of the body"
    times = 1                        # is used so often at most
    status = 429
    error = "insufficient_quota"     # the error's kind; message = "..." its text

    [[rule]]
    every = 7
    fault = "truncated"              # any name of `faults`: reset, cut, hang, html, refusal, unknown_tool, ...;
                                     #   any, any_body, any_reply, any_harmful, any_harmless: each in its turn

    [[rule]]
    containing = "second look"
    delay_s = 30.0                   # of this answer, in the place of the server's
    text = "I think so."             # the reply itself; stop = "refused" how it ends
    calls = [{ name = "conclude", arguments = { hypothesis = "h1" } }]

Requests that no rule fits are answered by the program behind the server. A file whose name ends in
.json holds the same as JSON (with "rule" as a list).
"""

from __future__ import annotations

import hashlib
import json
import threading
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from ...agent.llm.conversation import Reply, Stop, ToolCall
from ...tools.errors import UsageError
from . import faults

_STRICT: Any = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which requests it fits (all that is given must), and what becomes of them (see the module's text)."""

    __pydantic_config__ = _STRICT

    provider: str = ""
    model: str = ""
    containing: str = ""
    at: Sequence[int] = ()
    every: int = 0
    first: int = 0
    share: float = 1.0
    times: int = 0

    delay_s: float | None = None
    status: int = 200
    error: str = "server_error"
    message: str = "this answer was scripted"
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    text: str = ""
    calls: Sequence[Mapping[str, Any]] = ()
    stop: str = ""

    def __post_init__(self) -> None:
        known = (*faults.GROUPS, *faults.NAMES)
        if self.fault and self.fault not in known:
            raise UsageError(f"no fault is called {self.fault!r}; known are {', '.join(known)}")
        if self.stop and self.stop not in get_args(Stop):
            raise UsageError(
                f"a reply does not stop with {self.stop!r}; known are {', '.join(get_args(Stop))}"
            )
        if not 200 <= self.status < 600:
            raise UsageError(
                f"status {self.status!r} is no answer of a server; give 200, or 400 to 599"
            )
        if any(not isinstance(call, Mapping) or "name" not in call for call in self.calls):
            raise UsageError(f"calls {self.calls!r}: each is {{name = ..., arguments = {{...}}}}")

    def reply(self) -> Reply | None:
        """The scripted reply, if there is one."""
        if not (self.text or self.calls or self.stop):
            return None
        made = tuple(
            ToolCall(
                f"call_{i}",
                call["name"],
                call.get("arguments", {}),
                json.dumps(call.get("arguments", {})),
            )
            for i, call in enumerate(self.calls)
        )
        return Reply(self.text, made, self.stop or ("tools" if made else "end"))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Coming:
    """A request as the rules see it."""

    provider: str
    model: str
    text: str
    """The body as it came."""
    hash: str
    number: int
    """Among all requests, from 1."""
    time: int
    """The how-manieth time that this very request comes, from 1."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a server asks of its clients, and its rules in order."""

    __pydantic_config__ = _STRICT

    key: str = ""
    models: tuple[str, ...] = ()
    delay_s: float = 0.0
    requests_a_minute: int = 0
    tokens_a_minute: int = 0
    rules: tuple[Rule, ...] = ()


class Director:
    """Picks the rule of each request. Safe to use from many threads."""

    def __init__(self, script: Script) -> None:
        self._rules = script.rules
        self._used: Counter[int] = Counter()
        self._lock = threading.Lock()

    def rule(self, coming: Coming) -> Rule | None:
        """The first rule that fits and is not used up."""
        with self._lock:
            for number, rule in enumerate(self._rules):
                if _fits(rule, coming) and not (rule.times and self._used[number] >= rule.times):
                    self._used[number] += 1
                    return rule
        return None


def _fits(rule: Rule, coming: Coming) -> bool:
    return (
        rule.provider in ("", coming.provider)
        and rule.model in ("", coming.model)
        and rule.containing in coming.text
        and (not rule.at or coming.number in rule.at)
        and (not rule.every or coming.number % rule.every == 0)
        and (not rule.first or coming.time <= rule.first)
        and (rule.share >= 1.0 or _drawn(coming) < rule.share)
    )


def _drawn(coming: Coming) -> float:
    """A number below 1 that follows from the request and how often it came."""
    digest = hashlib.sha256(f"{coming.hash}:{coming.time}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def read_script(path: Path) -> Script:
    """The script in a file.

    Raises:
        UsageError: it is not there, cannot be read, or has a word that means nothing.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise UsageError(
            f"no script at {str(path)!r}; `hubel loopback --help` says where one is described"
        ) from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UsageError(
            f"{path}: cannot be read ({error}); expected TOML, or JSON in a .json"
        ) from None
    return script_from(found)


def script_from(found: Mapping[str, Any]) -> Script:
    """A script from its words; UsageError for one that means nothing or has a value of the wrong type."""
    from pydantic import TypeAdapter, ValidationError

    words = {("rules" if k == "rule" else k): v for k, v in found.items()}
    try:
        return TypeAdapter(Script).validate_python(words)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise UsageError(
            f"the script cannot be used: {wrong}; its words are {', '.join(_words())}"
        ) from None


def _words() -> list[str]:
    return [
        "rule",
        *(name for name in Script.__dataclass_fields__ if name != "rules"),
        *Rule.__dataclass_fields__,
    ]
