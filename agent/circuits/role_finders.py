"""Explainers that name roles: by rule, or a language model."""

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
    """Raise UsageError, with the known explainers, for an unknown one."""
    if name not in FINDERS and not is_language_model(name):
        known = ", ".join([*FINDERS, *MODEL_NAMES])
        raise UsageError(f"no explainer {name!r} of circuits; there are {known}")


def role_finder(name: str, ask: Ask | None = None, failures: int = 0) -> RoleFinder:
    """A role finder by name.

    Args:
        ask: gives a language model's reply, within the journal and the budget.
        failures: earlier attempts that gave no role; each allows as many replies again.

    Raises:
        UsageError: an unknown explainer, or a language model without `ask`.
    """
    check_finder(name)
    if not is_language_model(name):
        return FINDERS[name]
    from .language_model_roles import LanguageModelRoles

    if ask is None:
        raise UsageError(f"{name} needs a conversation; this is a defect of the loop")
    return LanguageModelRoles(ask, failures)
