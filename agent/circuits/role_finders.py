"""The explainers that name roles of components, by name: rules, or a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from ..runlog.model_config import MODEL_NAMES, is_language_model
from .roles import RoleFinder
from .rule_based_roles import name_roles

if TYPE_CHECKING:
    from .language_model_roles import Ask

FINDERS: dict[str, RoleFinder] = {"compositional": name_roles}


def check_finder(name: str) -> None:
    """Raise UsageError if no explainer of circuits has that name."""
    if name not in FINDERS and not is_language_model(name):
        names = ", ".join([*FINDERS, *MODEL_NAMES])
        raise UsageError(f"no explainer {name!r} of circuits; there are {names}")


def role_finder(name: str, ask: Ask | None = None, failures: int = 0) -> RoleFinder:
    """The role finder of that name.

    Args:
        ask: sends a request to the language model, through the journal and the budget.
        failures: how often the language model was tried without success in this run. A new attempt
            replays their replies from the journal first, so each adds its number of replies.

    Raises:
        UsageError: the name is unknown, or is a language model and `ask` is missing.
    """
    check_finder(name)
    if not is_language_model(name):
        return FINDERS[name]
    from .language_model_roles import LanguageModelRoles

    if ask is None:
        raise UsageError(f"{name} needs a conversation; this is a defect of the loop")
    return LanguageModelRoles(ask, failures)
