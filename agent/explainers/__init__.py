"""Explainers, one per file, found by the file's name.

compositional     no language model: searches weighted formulas over a library of concepts (the default)
ten-tokens        the ten tokens with the largest weights: the simplest baseline
scripted          the moves of a file, for tests and for debugging a run
openai:MODEL      a language model behind any OpenAI-compatible server (`--base-url`)
anthropic:MODEL   a language model of Anthropic's

Here: the protocol, what explainers see and how predictions are judged. Not here: the loop that
asks them (`investigation`), the connection to language models (`llm`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from ..runlog.model_config import MODEL_NAMES, is_language_model

if TYPE_CHECKING:
    from ..runlog.config import RunConfig
    from .protocol import Explainer

_SHARED = {"predictions", "protocol"}
"""Modules here that are not explainers."""


def explainer_names() -> list[str]:
    """Explainers that need no language model: `agent/explainers/ten_tokens.py` is `ten-tokens`."""
    modules = (module.name for module in iter_modules(__path__) if not module.ispkg)
    return sorted(name.replace("_", "-") for name in modules if name not in _SHARED)


def make_explainer(name: str, config: RunConfig) -> Explainer:
    """The explainer of that name.

    Raises:
        UsageError: the name is unknown; the message lists the known ones.
    """
    if is_language_model(name):
        module = "language_model.explainer"
    elif name in explainer_names():
        module = name.replace("-", "_")
    else:
        names = ", ".join([*explainer_names(), *MODEL_NAMES])
        raise UsageError(f"unknown explainer {name!r}; known ones are {names}")
    make: Callable[[RunConfig], Explainer] = import_module(f".{module}", __name__).make
    return make(config)
