"""How a language model is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ...tools.errors import UsageError


@dataclass(frozen=True)
class ModelSettings:
    """Settings of a client; the same for all requests of a run."""

    base_url: str = ""
    """Address of the server; "" is the provider's own."""
    effort: str = ""
    """How hard a reasoning model thinks; "" leaves it to the provider."""
    thinking: str = ""
    """Anthropic's models: "adaptive" or "disabled"; "" leaves it to the provider."""
    tools: str = "native"
    """How tools are called: "native" (the protocol's own calls), "named" (all through one that is
    chosen by its name), "text" (fenced JSON in the reply), or "auto": found out before the run,
    native until then."""
    timeout_s: float = 600.0
    """Of one attempt. Reasoning models think for minutes; a shorter one pays for replies that nobody reads."""


def client_options(variable: str, settings: ModelSettings) -> dict[str, Any]:
    """What both SDKs' clients are made with; `patience` does the waiting.

    Raises:
        UsageError: the provider's own server is asked, and there is no key.
    """
    key, base_url = key_of(variable, settings), settings.base_url or None
    return {"api_key": key, "base_url": base_url, "timeout": settings.timeout_s, "max_retries": 0}


def key_of(variable: str, settings: ModelSettings) -> str:
    """The key from the environment; a server at home needs none.

    Raises:
        UsageError: the provider's own server is asked, and there is no key.
    """
    key = os.environ.get(variable, "").strip()
    if key or settings.base_url:
        return key or "none"
    raise UsageError(
        f"no key: set {variable}, or name a server that needs none with --base-url URL"
    )
