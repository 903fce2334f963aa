"""Language models: one protocol (`conversation`), and one module per provider.

Here: everything between a request and its journaled reply: connections, retries, rate limits,
prices, budgets, the journal. Not here: what is asked (`explainers`, `evals.scorers`).
"""

from __future__ import annotations

from ..runlog.model_config import ModelConfig
from .connection import TIMEOUT_S, connect
from .conversation import Client, LanguageModel
from .preflight_probe import ModelCheck, check_explainer, preflight
from .prompt_check import PromptCheck
from .retry import Patience, RetryingClient

SHORTEST_ATTEMPT_S = 30.0
"""Even without patience for a busy server, a reply takes a while."""


def make_model(
    config: ModelConfig, patience: Patience | None = None, timeout_s: float = TIMEOUT_S
) -> Client:
    """A client for ``provider:MODEL``. Nothing is sent before it is asked.

    Args:
        patience: shared by all clients of a run, so that they keep the rate limits together.
        timeout_s: of one attempt.

    Raises:
        UsageError: the name is not of that form, or there is no key.
    """
    patience = patience or Patience()
    connection = connect(config, attempt_seconds(timeout_s, patience.limit_s))
    billed = bool(config.price) or not config.base_url
    check = PromptCheck() if config.base_url else None
    client = RetryingClient(connection, patience, billed=billed, check=check)
    if config.tools == "text":
        from .tool_fallback.client import ToolFallbackClient
        from .tool_fallback.in_text import describe_in_text, read_calls

        return ToolFallbackClient(client, describe_in_text, read_calls)
    if config.tools == "named":
        from .tool_fallback.client import ToolFallbackClient
        from .tool_fallback.single_tool import merge_into_one, read_calls

        return ToolFallbackClient(client, merge_into_one, read_calls)
    return client


def attempt_seconds(timeout_s: float, patience_s: float) -> float:
    """The time of one attempt: a server that is silent for longer than the patience is given up."""
    return min(timeout_s, max(patience_s, SHORTEST_ATTEMPT_S))


__all__ = [
    "Client",
    "LanguageModel",
    "ModelCheck",
    "Patience",
    "check_explainer",
    "make_model",
    "preflight",
]
