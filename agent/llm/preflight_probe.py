"""Check a language model before anything is loaded.

Does it answer, can it call tools, is its context window large enough?

1. Read the server's list of models, which is free. It shows a wrong key, a missing model and, on
   most servers, the context window.
2. Ask a server of the user's own (`--base-url`) one tiny question with one tool that it must call:
   about 100 tokens. Many such servers keep no list, or list a name that they cannot serve, or cannot
   call tools. The providers' own servers are trusted and not asked.
3. If it answers without a call, ask again with the tool chosen by its name: some servers obey only
   that.

What cannot be checked in a minute is assumed to work; otherwise it fails later, with the same advice.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from ...tools.errors import UnavailableError, UsageError
from ..runlog.model_config import ModelConfig
from .connection import MAX_FORMS, Connection, Received, connect, send_counted
from .conversation import Meter, Request, Stop, ToolSchema, UserMessage
from .errors import Busy, ModelError, NoTools, OtherForm, Rejected
from .http_errors import LONGER
from .json_values import as_object, as_objects, token_count
from .meter import Checks
from .reply_limits import MAX_NAME

SMALLEST_WINDOW = 12_000
"""Tokens: the fixed prefix (3,000), the unit's evidence, four replies with their answers, and room
for one reply."""
LIST_S, PROBE_S = 20.0, 90.0
"""Time limits; a local server may have to load the model first."""
_WINDOWS = (
    "max_model_len",
    "context_length",
    "loaded_context_length",
    "max_context_length",
    "max_input_tokens",
    "n_ctx",
)
_PROBE = Request(
    system="This is a test of the connection.",
    messages=(UserMessage("Call the tool `ready`."),),
    tools=(ToolSchema("ready", "Says that you are ready.", {"type": "object", "properties": {}}),),
    max_tokens=256,
    tool_choice="any",
)
Tools = Literal["native", "named", "text"]


@dataclass(frozen=True)
class ModelCheck:
    """What the checks say about a model."""

    tools: Tools = "native"
    """For a model that does not call a tool when it must: "named" if it calls one that is chosen by its
    name, else "text"."""
    window: int | None = None
    """Tokens of its context; None if the server does not say."""


class _Probed(NamedTuple):
    calls: int
    stop: Stop
    refused: bool = False
    """Whether the server refused the request because it has no tools."""


def preflight(
    config: ModelConfig, checks: Checks | None = None, *, explains: bool = True
) -> ModelCheck:
    """Check a language model, for nearly nothing.

    Args:
        checks: counts the requests that are sent.
        explains: whether it investigates, which needs tools and a large window; judges and
            simulators need neither.

    Raises:
        UsageError: there is no key, the server does not take it or does not know the model, or the
            window is too small.
        UnavailableError: there is no server.
        BudgetReached: the budget of `checks` admits no further request.
    """
    listed = _listed(config)
    window = _window(listed)
    if explains and window is not None and window < SMALLEST_WINDOW:
        raise UsageError(
            f"{config.model!r} has a context window of {window:,} tokens, an investigation needs "
            f"{SMALLEST_WINDOW:,}: {LONGER}"
        )
    if not config.base_url or (config.tools != "auto" and listed is not None):
        return ModelCheck(window=window)
    meter = (checks or Checks()).meter(config)
    return ModelCheck(
        _tools(config, meter) if explains else _answers(config, meter),
        window,
    )


def check_explainer(config: ModelConfig, checks: Checks | None = None) -> ModelConfig:
    """The configuration of a model that will investigate, with ``tools`` found out if it was "auto".

    Raises:
        UsageError, UnavailableError, BudgetReached: as `preflight`.
    """
    check = preflight(config, checks)
    return replace(config, tools=check.tools if config.tools == "auto" else config.tools)


def _tools(config: ModelConfig, meter: Meter) -> Tools:
    """How the model calls tools, tried out with one or two tiny requests.

    "native" unless the model answered in full and still made no call that it was told to make.
    """
    # 1. any call will do; a busy server or a reply that was cut short shows nothing
    probe = replace(_PROBE, meter=meter)
    free_choice = _probe(config, probe)
    if free_choice is None or free_choice.calls or free_choice.stop not in ("end", "other"):
        return "native"
    # 2. some servers follow only a tool that is chosen by its name
    if not free_choice.refused:
        by_name = _probe(config, replace(probe, tool_choice=_PROBE.tools[0].name))
        if by_name is not None and by_name.calls:
            return "named"
    return "text"


def _answers(config: ModelConfig, meter: Meter) -> Tools:
    """Check that the model answers at all; it needs no tools."""
    messages = (UserMessage("Say: ready"),)
    question = replace(_PROBE, tools=(), messages=messages, max_tokens=16, meter=meter)
    _probe(config, question)
    return "native"


def _listed(config: ModelConfig) -> Mapping[str, Any] | None:
    """The model's entry in the server's list; None if there is no list."""
    where = config.base_url or config.provider
    try:
        with closing(connect(config, LIST_S)) as connection:
            listing = connection.models()
    except Busy as error:
        if config.base_url and "no connection" in str(error):
            raise UnavailableError(
                f"no server answers at {where}: {error}; start it, or correct --base-url"
            ) from error
        if "no connection" in str(error):
            raise UnavailableError(f"{error}; is there a network?") from error
        return None
    except Rejected as error:
        if not config.base_url or any(f"answers {status}" in str(error) for status in (401, 403)):
            raise UsageError(str(error)) from error
        return None
    except ModelError:
        return None
    entries = as_objects(listing.body.get("data"))
    names = [str(entry.get("id"))[:MAX_NAME] for entry in entries]
    if not names or config.model in names or config.provider == "anthropic":
        return next(
            (entry for entry in entries if entry.get("id") == config.model),
            entries[0] if entries else None,
        )
    listed = ", ".join(sorted(names)[:12]) + (", ..." if len(names) > 12 else "")
    raise UsageError(f"{where} has no model {config.model!r}; it has {listed}")


def _window(entry: Mapping[str, Any] | None) -> int | None:
    """Tokens of the context window; None if the model's entry does not say."""
    if entry is None:
        return None
    for place in (entry, as_object(entry.get("meta")), as_object(entry.get("top_provider"))):
        for key in _WINDOWS:
            if tokens := token_count(place.get(key)):
                return tokens
    return None


def _in_its_form(connection: Connection, request: Request) -> Received:
    """The answer to a request, in the form that the server wants."""
    for _ in range(MAX_FORMS):
        with suppress(OtherForm):
            return send_counted(connection, request)
    raise ModelError("the server refuses every form of a request that is known here")


def _probe(config: ModelConfig, request: Request) -> _Probed | None:
    """The answer to a tiny request; None if the server is busy."""
    try:
        with closing(connect(config, PROBE_S)) as connection:
            reply = _in_its_form(connection, request).reply
    except NoTools:
        return _Probed(0, "end", refused=True)
    except Rejected as error:
        raise UsageError(str(error)) from error
    except Busy:
        return None
    except ModelError as error:
        raise UsageError(str(error)) from error
    return _Probed(len(reply.calls), reply.stop)
