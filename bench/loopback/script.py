"""A script for a loopback server: what it requires of clients, and which requests it answers
differently.

    key = "sk-test"                  # any other key is refused with 401 (default: all are accepted)
    models = ["beginner", "cheap"]   # any other model is refused with 404 (default: all are accepted)
    delay_s = 2.0                    # seconds before every answer
    requests_a_minute = 60           # more are refused with 429; every answer says what is left
    tokens_a_minute = 40000
    context_tokens = 4096            # longer prompts are silently cut to this many tokens
    counts_only_new = true           # tokens that were read from the cache are not counted
    streams_only = true              # requests that do not ask for a stream are refused with 400
    new_limit_only = true            # so are those with max_tokens, not max_completion_tokens (openai)
    no_batches = true                # the server has no batch API, as most compatible ones
    batch_s = 1.0                    # seconds after which a batch has ended
    batch_faults = ["twice"]         # see `batches`
    reasoning = "reasoning_content"  # where each reply has reasoning, which must be sent back (openai)

    [[rule]]                         # the first rule that matches a request applies
    at = [3, 4]                      # matches the third and fourth request of all
    status = 529                     #   or every = 10; or first = 2: the first two times that each
    headers = { retry-after = "2" }  #   request comes; or share = 0.1, by a hash of the request

    [[rule]]
    provider = "openai"              # matches one protocol, as model = "..." and containing = "text of the body"
    times = 1                        # applies at most so often
    status = 429
    error = "insufficient_quota"     # kind of the error; message = "..." is its text

    [[rule]]
    every = 7
    fault = "truncated"              # any name in `faults`: reset, cut, hang, html, refusal, unknown_tool, ...;
                                     #   any, any_body, any_reply, any_harmful, any_harmless: each in turn

    [[rule]]
    containing = "second look"
    delay_s = 30.0                   # of this answer, instead of the server's
    text = "I think so."             # the reply; stop = "refused" sets how it ends
    calls = [{ name = "conclude", arguments = { hypothesis = "h1" } }]

Requests that no rule matches are answered by the server's model. A file whose name ends in .json
holds the same as JSON (with "rule" as a list).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from ...agent.llm.conversation import Reply, Stop, ToolCall
from ...tools.errors import UsageError
from ...tools.files.settings_file import read_settings_file
from . import faults

BATCH_FAULTS = (
    *("refuse_create", "lost_create", "poll_errors", "cut_results", "shuffled", "stranger"),
    *("twice", "missing", "partial", "expired", "canceled", "failed"),
)
"""Of batches; what they do is in `batches`."""
_STRICT: Any = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which requests match (all given conditions must), and how they are answered; see the module's text."""

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
        names = (*faults.GROUPS, *faults.NAMES)
        if self.fault and self.fault not in names:
            raise UsageError(f"unknown fault {self.fault!r}; known are {', '.join(names)}")
        if self.stop and self.stop not in get_args(Stop):
            raise UsageError(f"unknown stop {self.stop!r}; known are {', '.join(get_args(Stop))}")
        if not 200 <= self.status < 600:
            raise UsageError(
                f"status {self.status!r} is not an HTTP status; give 200, or 400 to 599"
            )
        if any(not isinstance(call, Mapping) or "name" not in call for call in self.calls):
            raise UsageError(
                f"calls {self.calls!r}: each must be {{name = ..., arguments = {{...}}}}"
            )

    def reply(self) -> Reply | None:
        """The scripted reply, if there is one."""
        if not (self.text or self.calls or self.stop):
            return None
        calls: list[ToolCall] = []
        for place, call in enumerate(self.calls):
            arguments = call.get("arguments", {})
            raw = json.dumps(arguments)
            calls.append(ToolCall(f"call_{place}", call["name"], arguments, raw))
        return Reply(self.text, tuple(calls), self.stop or ("tools" if calls else "end"))  # type: ignore[arg-type]


@dataclass(frozen=True)
class IncomingRequest:
    """A request as rules see it."""

    provider: str
    model: str
    text: str
    """The raw body."""
    hash: str
    number: int
    """Place among all requests, from 1."""
    repetition: int
    """How often an equal request has come, from 1."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a server requires of clients, and its rules in order."""

    __pydantic_config__ = _STRICT

    key: str = ""
    models: tuple[str, ...] = ()
    delay_s: float = 0.0
    requests_a_minute: int = 0
    tokens_a_minute: int = 0
    context_tokens: int = 0
    counts_only_new: bool = False
    streams_only: bool = False
    new_limit_only: bool = False
    reasoning: str = ""
    no_batches: bool = False
    batch_s: float = 0.2
    batch_faults: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for name in self.batch_faults:
            if name not in BATCH_FAULTS:
                raise UsageError(
                    f"unknown fault of batches {name!r}; known are {', '.join(BATCH_FAULTS)}"
                )


class Director:
    """Picks the rule of each request. Thread-safe."""

    def __init__(self, script: Script) -> None:
        self._rules = script.rules
        self._used: Counter[int] = Counter()
        self._lock = threading.Lock()

    def rule(self, request: IncomingRequest) -> Rule | None:
        """The first rule that matches and is not used up."""
        with self._lock:
            for number, rule in enumerate(self._rules):
                if _matches(rule, request) and not (
                    rule.times and self._used[number] >= rule.times
                ):
                    self._used[number] += 1
                    return rule
        return None


def _matches(rule: Rule, request: IncomingRequest) -> bool:
    return (
        rule.provider in ("", request.provider)
        and rule.model in ("", request.model)
        and rule.containing in request.text
        and (not rule.at or request.number in rule.at)
        and (not rule.every or request.number % rule.every == 0)
        and (not rule.first or request.repetition <= rule.first)
        and (rule.share >= 1.0 or _hash_share(request) < rule.share)
    )


def _hash_share(request: IncomingRequest) -> float:
    """A number in [0, 1) that is determined by the request and its repetition."""
    digest = hashlib.sha256(f"{request.hash}:{request.repetition}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def read_script(path: Path) -> Script:
    """The script in a file.

    Raises:
        UsageError: the file is missing, cannot be read, or has an unknown key or a wrong value.
    """
    missing = (
        f"no script at {str(path)!r}; `hubel loopback --help` says where the format is described"
    )
    content = read_settings_file(path, missing)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected a table of settings with [[rule]] tables")
    return script_from(content, str(path))


def script_from(content: Mapping[str, Any], origin: str = "the script") -> Script:
    """A script from the content of its file.

    Raises:
        UsageError: an unknown key or a wrong value.
    """
    from pydantic import TypeAdapter, ValidationError

    fields = {("rules" if key == "rule" else key): value for key, value in content.items()}
    try:
        return TypeAdapter(Script).validate_python(fields)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors()[:3]
        )
        keys = ["rule", *Script.__dataclass_fields__, *Rule.__dataclass_fields__]
        keys.remove("rules")
        raise UsageError(f"{origin}: {problems}; known keys are {', '.join(keys)}") from None
