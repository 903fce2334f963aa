"""Who may name roles."""

from __future__ import annotations

from ...tools.errors import UsageError
from .compositional import name_roles
from .roles import RoleFinder

FINDERS: dict[str, RoleFinder] = {"compositional": name_roles}


def role_finder(name: str) -> RoleFinder:
    """A role finder by name; raises UsageError that lists them."""
    if name not in FINDERS:
        raise UsageError(f"no explainer {name!r} of circuits; there are {', '.join(FINDERS)}")
    return FINDERS[name]
