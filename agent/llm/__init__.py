"""Language models: one protocol (`conversation`), a file a provider, found by the name's part before the colon."""

from __future__ import annotations

from importlib import import_module

from ...tools.errors import UsageError
from .conversation import Client, LanguageModel
from .settings import ModelSettings

PROVIDERS = ("openai", "anthropic")
"""Each is a module of this folder with `make` and `check`; a further provider is one more file and a name here."""


def make_model(name: str, settings: ModelSettings) -> Client:
    """A client for ``provider:MODEL``. Nothing is sent before it is asked."""
    provider, model = split_name(name)
    return import_module(f".{provider}", __name__).make(model, settings)


def preflight(name: str, settings: ModelSettings) -> None:
    """Find out for free whether the key, the server and the model are there.

    Raises:
        UsageError: there is no key, or the server does not know the model.
        UnavailableError: there is no server.
    """
    provider, model = split_name(name)
    import_module(f".{provider}", __name__).check(model, settings)


def split_name(name: str) -> tuple[str, str]:
    """Provider and model; UsageError when it is not of that form."""
    provider, _, model = name.partition(":")
    if provider not in PROVIDERS or not model:
        known = ", ".join(f"{p}:MODEL" for p in PROVIDERS)
        raise UsageError(f"{name!r} names no language model; expected {known}")
    return provider, model


__all__ = ["Client", "LanguageModel", "ModelSettings", "make_model", "preflight", "split_name"]
