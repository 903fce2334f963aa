"""Small values that configurations are built from: a language model in one role, and its budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ...tools.errors import UsageError
from ...tools.files.secrets import has_login, without_login

PROVIDERS = ("openai", "anthropic")
MODEL_NAMES = tuple(f"{provider}:MODEL" for provider in PROVIDERS)
"""Forms of a language model's name, for messages."""


@dataclass(frozen=True)
class ModelConfig:
    """Who explains, simulates or judges, and how a language model is called for it."""

    name: str = ""
    """``provider:MODEL``, or a name that needs no server (``compositional``, ``predicate``); "" is nobody."""
    base_url: str = ""
    """Address of the server; "" is the provider's own."""
    price: Mapping[str, float] = field(default_factory=dict)
    """US dollars per million tokens: input, output, cache_read, cache_write. Empty: not known, and
    dollars are null."""
    effort: str = ""
    """How hard a reasoning model thinks (low, medium, high, ...); "" leaves it to the provider."""
    thinking: str = ""
    """Anthropic's models: "adaptive" or "disabled"; "" leaves it to the provider."""
    tools: str = "native"
    """How tools are called: "native" (the protocol's own calls), "named" (all through one tool that
    is chosen by its name), "text" (fenced JSON in the reply), or "auto" (found out before the run)."""

    @property
    def is_language_model(self) -> bool:
        """Whether a language model has this role, and not a program or nobody."""
        return is_language_model(self.name)

    @property
    def provider(self) -> str:
        """The part of the name before the colon.

        Raises:
            UsageError: the name is not of the form ``provider:MODEL``.
        """
        if not is_language_model(self.name) or not self.model:
            expected = ", ".join(MODEL_NAMES)
            raise UsageError(f"{self.name!r} is not a language model; expected {expected}")
        return self.name.partition(":")[0]

    @property
    def model(self) -> str:
        """The provider's name of the model."""
        return self.name.partition(":")[2]


def check_base_url(url: str, variable: str = "OPENAI_BASE_URL") -> None:
    """Refuse a server's address that cannot be used, or that must not be stored.

    Args:
        variable: the environment variable that may hold the whole address.

    Raises:
        UsageError: it is not an HTTP address, or it holds a login or a key.
    """
    if not url:
        return
    if has_login(url):
        raise UsageError(
            f"the base URL of {without_login(url)} holds a login or a key, which would be stored "
            f"with the run: leave it out, and set {variable} to the whole address"
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise UsageError(
            f"the base URL {url[:200]!r} is not an address: expected one such as "
            "http://127.0.0.1:8000/v1"
        )


def is_language_model(name: str) -> bool:
    """Whether a name begins like that of a language model."""
    provider, colon, _ = name.partition(":")
    return provider in PROVIDERS and bool(colon)


@dataclass(frozen=True)
class BudgetConfig:
    """Limits on what language models may take, by unit: usd, calls, tokens, seconds of waiting for replies.

    0 or a missing unit is no limit. Calls in flight when a limit is reached are still paid.
    """

    run: Mapping[str, float] = field(default_factory=dict)
    target: Mapping[str, float] = field(default_factory=dict)
    """Of each target."""

    def or_else(self, other: BudgetConfig) -> BudgetConfig:
        """These limits, and the other's where these say nothing."""
        return BudgetConfig({**other.run, **self.run}, {**other.target, **self.target})


NOBODY = ModelConfig()
COMPOSITIONAL = ModelConfig("compositional")
PREDICATE = ModelConfig("predicate")
UNLIMITED = BudgetConfig()

MODEL_KEYS = {name: name for name in ("base_url", "price", "effort", "thinking", "tools")} | {
    "name": "explainer"
}
"""Field of the explainer's ModelConfig to its key in config.toml."""


def role_keys(role: str) -> dict[str, str]:
    """The same of a simulator or judge, which calls no tools."""
    return {"name": role, "base_url": f"{role}_base_url", "price": f"{role}_price"}
