"""Language models: one protocol (`conversation`), a file a provider, found by the name's part before the colon."""

from __future__ import annotations

from importlib import import_module

from ...tools.errors import UsageError
from .conversation import Client, LanguageModel
from .preflight_probe import ModelCheck
from .retry import Patience, Patient
from .settings import ModelSettings

PROVIDERS = ("openai", "anthropic")
"""Each is a module of this folder with `connect` and `models`; a further provider is one more file and a name here."""


def make_model(name: str, settings: ModelSettings, patience: Patience | None = None) -> Client:
    """A client for ``provider:MODEL``. Nothing is sent before it is asked.

    Args:
        patience: shared by all clients of a run, so that they keep the rate limits together.
    """
    provider, model = split_name(name)
    connection = import_module(f".{provider}", __name__).connect(model, settings)
    client = Patient(connection, patience or Patience())
    if settings.tools == "text":
        from .tool_fallback.client import Rewritten
        from .tool_fallback.in_text import in_words, read_calls

        return Rewritten(client, in_words, read_calls)
    if settings.tools == "named":
        from .tool_fallback.client import Rewritten
        from .tool_fallback.single_tool import behind_one, read_calls

        return Rewritten(client, behind_one, read_calls)
    return client


def preflight(name: str, settings: ModelSettings, *, explains: bool = True) -> ModelCheck:
    """Find out before anything is loaded whether the key, the server and the model are there.

    Raises:
        UsageError: there is no key, or the server does not know the model, or its context window is too small.
        UnavailableError: there is no server.
    """
    from .preflight_probe import preflight

    provider, model = split_name(name)
    return preflight(provider, model, settings, explains=explains)


def split_name(name: str) -> tuple[str, str]:
    """Provider and model; UsageError when it is not of that form."""
    provider, _, model = name.partition(":")
    if provider not in PROVIDERS or not model:
        known = ", ".join(f"{p}:MODEL" for p in PROVIDERS)
        raise UsageError(f"{name!r} names no language model; expected {known}")
    return provider, model


__all__ = [
    "Client",
    "LanguageModel",
    "ModelCheck",
    "ModelSettings",
    "Patience",
    "make_model",
    "preflight",
    "split_name",
]
