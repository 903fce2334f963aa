"""Dataclasses as the JSON values that a log, a journal or a program reads."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

_SCALARS = frozenset({str, int, float, bool, type(None)})


def jsonable(value: Any) -> Any:
    """Plain JSON values: objects for dataclasses and mappings, lists for lists and tuples.

    The same as `dataclasses.asdict` after a round trip through JSON, without a copy of every token
    and number on the way. Anything else stays as it is.
    """
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _SCALARS else jsonable(item) for item in value]
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    return value
