"""Values in a server's JSON, which may hold anything anywhere: checked before they are used."""

from __future__ import annotations

from typing import Any

MAX_TOKENS = 10**7
"""No call takes more, and no model has a longer context; a larger count is not believed."""


def as_object(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list; none if it is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def token_count(value: object) -> int | None:
    """A number of tokens; None for anything else (negative, a string, a truth value, too large)."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < MAX_TOKENS else None
