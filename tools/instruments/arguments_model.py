"""A pydantic model of a function's arguments, from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

SHOWN_FAULTS = 5
"""Faults of one call that its error names."""


def arguments_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """The model of all arguments but the first, which is a context."""
    hints = get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is p.empty else p.default) for p in parameters
    }
    config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    return create_model(name, __config__=config, **fields)


def faults_of(error: ValidationError) -> str:
    """The first faults in one line, each with the argument's name and what was given."""
    return "; ".join(map(_describe_fault, error.errors(include_url=False)[:SHOWN_FAULTS]))


def _describe_fault(fault: Mapping[str, Any]) -> str:
    where = ".".join(map(str, fault["loc"])) or "arguments"
    if fault["type"] == "missing":
        return f"{where}: {fault['msg']}"
    value = repr(fault["input"])
    return f"{where}: {fault['msg']} (given {value if len(value) <= 80 else value[:79] + '…'})"
