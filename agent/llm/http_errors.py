"""One attempt over HTTP through either SDK: its answer as a JSON object, or its error by kind.

The SDKs do not validate what a server answers, and turn anything but JSON into strings. So the body
is read here, and anything but a JSON object is an error with advice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...tools.files.secrets import mask_message
from .errors import Busy, Fate, ModelError, NoTools, OversizedReply, Rejected, TooLong
from .json_values import as_object
from .rate_headers import allowances, retry_after
from .streamed import is_stream, join_events

MAX_VALUES = 500_000
"""JSON values in one body. A reply with log-probabilities of 5,000 tokens has a million, and half of
them take 40 MB of memory as Python objects. A body of 8 MiB could hold ten times as many."""
ERROR_CHARACTERS = 4000
"""Of an error body that are read; patterns that search for a cause take quadratic time at worst."""
PASSING = (408, 409, 425, 429, 529)
"""HTTP states that may pass, in addition to 5xx."""
CROWDED = (429, 503, 529)
"""HTTP states of a server that gets too many requests."""
GATEWAY_TIMEOUTS = (408, 502, 504, 522, 524)
"""HTTP states of a proxy that gave up on its server, which may still answer, and bill."""
_NOT_CONNECTED = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError")
"""Errors of the HTTP library before anything was sent."""
_NO_CREDIT = re.compile(
    r"insufficient_quota|billing|credit balance|exceeded your current quota|payment required",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[_ ](length|window|size)|maximum context|prompt is too long|too many tokens|exceed\w* (the )?context"
    r"|(max_model_len|maximum model length)",
    re.IGNORECASE,
)
_NO_TOOLS = re.compile(
    r"(tool|function)s?\b.{0,60}(not|n't|un)\s*(be )?(support|available|allow|enabled|implement)"
    r"|(not|n't|un)\s*(support|available|allow|enabled|implement)\w*.{0,40}\b(tool|function)"
    r"|enable-auto-tool-choice|tool-call-parser",
    re.IGNORECASE | re.DOTALL,
)
LONGER = "take a model with a longer context, or start the server with one (vLLM --max-model-len, llama.cpp -c, ...)"
TEXT_TOOLS = "use --tools text, which asks for the calls in words, or another model"


class Server(NamedTuple):
    """The server and model that an error message names."""

    sdk: Any
    """The SDK's module: both name their errors alike."""
    where: str
    key: str
    """The environment variable of the key."""
    model: str


class HttpReply(NamedTuple):
    """A JSON object that a server answered, and its headers."""

    body: dict[str, Any]
    headers: Mapping[str, str]


def send_once(server: Server, send: Callable[[], Any]) -> HttpReply:
    """Send one request through an SDK and read the answer.

    Args:
        send: gives the HTTP response.

    Raises:
        Busy: no answer, but the next attempt may bring one.
        Rejected: the server refuses this request.
        ModelError: the answer is not of this protocol.
    """
    response = send_for_bytes(server, send)
    return HttpReply(_object(response.content, server, response.headers), response.headers)


class HttpBytes(NamedTuple):
    """What a server answered, unread, and its headers."""

    content: bytes
    headers: Mapping[str, str]


def send_for_bytes(server: Server, send: Callable[[], Any]) -> HttpBytes:
    """The same, for an answer that is not a JSON object, such as a file."""
    sdk, where = server.sdk, server.where
    try:
        response = send()
        return HttpBytes(response.content, response.headers)
    except sdk.APITimeoutError as error:
        fate: Fate = "unsent" if never_connected(error) else "timed out"
        raise Busy(f"no reply from {where} in time", fate=fate) from error
    except sdk.APIConnectionError as error:
        if own := _own_error(error):
            raise own from None
        fate = "unsent" if never_connected(error) else "broken"
        reason = mask_message(_cause(error))
        raise Busy(f"no connection to {where}: {reason}", fate=fate) from error
    except sdk.APIStatusError as error:
        raise error_for_status(
            server, error.status_code, error.response.headers, error.response.text
        ) from error
    except sdk.APIError as error:
        raise ModelError(f"no reply from {where}: {error}") from error


def error_for_status(
    server: Server, status: int, headers: Mapping[str, str], text: str
) -> ModelError:
    """The error for an HTTP status, by its kind."""
    error = _error_for_status(server, status, headers, text)
    error.status = status
    return error


def _error_for_status(
    server: Server, status: int, headers: Mapping[str, str], text: str
) -> ModelError:
    text = text[:ERROR_CHARACTERS]
    line = f"{server.where} answers {status}: {_error_text(text)}"
    if _NO_CREDIT.search(text) or status == 402:
        return Rejected(
            f"{line}. The account has no credit or its limit is reached: waiting does not help"
        )
    should_retry = headers.get("x-should-retry")
    passing = (status in PASSING or status >= 500) and status != 501
    if should_retry == "true" or (passing and should_retry != "false"):
        crowded = status in CROWDED
        return Busy(
            line,
            pause_s=retry_after(headers),
            crowded=crowded,
            allowances=allowances(headers),
            fate="timed out" if status in GATEWAY_TIMEOUTS else "refused",
        )
    if _TOO_LONG.search(text):
        return TooLong(
            f"{line}. The conversation is longer than the context window of {server.model!r}: {LONGER}"
        )
    if _NO_TOOLS.search(text):
        return NoTools(f"{line}. It calls no tools: {TEXT_TOOLS}")
    return Rejected(f"{line}. {_advice(server, status)}")


def never_connected(error: BaseException) -> bool:
    """Whether an error of either SDK says that there was no connection to send a request on."""
    while error.__cause__ is not None:
        error = error.__cause__
        if type(error).__name__ in _NOT_CONNECTED:
            return True
    return False


def _object(content: bytes, server: Server, headers: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object in a response; raises a ModelError that says what came instead.

    Some servers answer with status 200 and an error in the object: that is raised, too.
    """
    where = server.where
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise OversizedReply(
            f"{where} sends more than {MAX_VALUES:,} values in one reply, which no model's answer takes"
        )
    if is_stream(content):
        joined = join_events(content)
        if joined is None:
            raise Busy(f"the stream of {where} is cut short after {len(content):,} bytes")
        content = json.dumps(joined).encode()
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        text = content.decode("utf-8", "replace").strip()
        if text.startswith("{") and not text.endswith("}"):
            raise Busy(
                f"the answer of {where} is cut short after {len(text):,} characters"
            ) from error
        kind = "HTML, a page for people" if text[:1] == "<" else f"no JSON ({text[:60]!r})"
        raise ModelError(
            f"{where} answers {kind}: does --base-url name the API (often ending in /v1)?"
        ) from error
    if not isinstance(body, dict):
        raise ModelError(
            f"{where} answers a JSON {type(body).__name__}, expected an object: is it another protocol?"
        )
    if isinstance(body.get("error"), (dict, str)) and body["error"] and not body.get("choices"):
        status = as_object(body["error"]).get("code")
        raise error_for_status(
            server,
            status if isinstance(status, int) else 400,
            headers,
            content.decode("utf-8", "replace"),
        )
    return body


def _error_text(text: str) -> str:
    """The message in an error body, in one line."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    error = as_object(body).get(
        "error", as_object(body).get("detail", as_object(body).get("message"))
    )
    message = as_object(error).get("message") or error or re.sub(r"<[^>]*>", " ", text)
    return " ".join(str(message).split())[:300].rstrip(".") or "nothing"


def _advice(server: Server, status: int) -> str:
    advice = {
        401: f"Is the key in {server.key} right, and of this server?",
        403: f"May the key in {server.key} use the model {server.model!r}?",
        404: f"Is {server.model!r} the model's whole name, and does --base-url name the API (often ending in /v1)?",
        413: f"The request is too large: {LONGER}",
        422: "Does the server speak this protocol? openai: and anthropic: are different ones",
    }
    return advice.get(status, "Asking again does not help; fix what the server names first")


def _own_error(error: BaseException) -> ModelError | None:
    """The error of our transport that an SDK reports as one of the network."""
    while error.__cause__ is not None:
        error = error.__cause__
        if isinstance(error, ModelError):
            return error
    return None


def _cause(error: BaseException) -> str:
    """The innermost reason; "Connection error." says nothing."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__
