"""A table of settings as a dataclass: every key known, every value of its type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..errors import UsageError

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
T = TypeVar("T")


def read_strictly(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """The dataclass of a table; raises UsageError with the first fault."""
    try:
        # As JSON, since strict validation of Python values refuses tables and lists.
        return _adapter(cls).validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        fault = error.errors()[0]
    key = ".".join(map(str, fault["loc"]))
    value: Any = table
    for part in fault["loc"]:
        value = value.get(part) if isinstance(value, Mapping) else value
    problem = f"{key} is {value!r:.100}; {fault['msg'].lower().removeprefix('value error, ')}"
    if fault["type"] == "missing":
        problem = f"{key} is missing"
    if fault["type"] == "unexpected_keyword_argument":
        keys = [name for name in cls.__annotations__ if not name.startswith("_")]
        problem = f"unknown key {key!r}; known are {', '.join(keys)}"
    raise UsageError(f"{where}: {problem}")


@cache
def _adapter(cls: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(cls)
