"""Dataclasses as the JSON values that a log, a journal or a program reads."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

_LEAVES = frozenset({str, int, float, bool, type(None)})


def jsonable(value: Any) -> Any:
    """Objects for dataclasses and mappings (by their keys' strings), lists for lists and tuples,
    the rest as it is.

    What `dataclasses.asdict` gives once it has been written and read, without its copy of every
    token and number.
    """
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _LEAVES else jsonable(item) for item in value]
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    return value
