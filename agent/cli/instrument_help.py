"""Help of an instrument for people, made from the JSON schema that programs and language models read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...tools.instruments import Instrument

Schema = Mapping[str, Any]
"""JSON schema of one argument."""

_SINGULAR = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}
_PLURAL = {"string": "texts", "integer": "whole numbers", "number": "numbers"}


def manual(instrument: Instrument) -> str:
    """The description, each argument, what else the call needs, and an example."""
    schema = instrument.schema()
    properties, required = schema.get("properties", {}), schema.get("required", [])
    width = max(map(len, properties), default=0)
    lines = [
        f"  {name:<{width}}  {_describe(argument, required=name in required)}"
        for name, argument in properties.items()
    ]
    examples = [_example(name, properties[name]) for name in required]
    call = " ".join(["hubel tool", instrument.name, *examples, "--index I"])
    needs = " and ".join(f"--{need}" for need in instrument.needs)
    return "\n".join(
        [
            instrument.description,
            "",
            "arguments",
            *lines,
            "",
            f"  {call}",
            f"needs {needs}; --index names both",
        ]
    )


def _describe(argument: Schema, *, required: bool) -> str:
    """``list of 1 to 8 numbers, default [1]; in units of its activation``."""
    line = _kind(argument)
    if not required:
        default = argument.get("default")
        line += ", optional" if default is None else f", default {json.dumps(default)}"
    return f"{line}; {argument['description']}" if "description" in argument else line


def _kind(argument: Schema) -> str:
    """Its choices, or its types without null."""
    types = [option for option in argument.get("anyOf", [argument]) if option.get("type") != "null"]
    choices = [str(choice) for option in types for choice in option.get("enum", [])]
    return " | ".join(choices) if choices else " or ".join(map(_type, types))


def _type(argument: Schema) -> str:
    kind = argument.get("type", "")
    if kind != "array":
        bounds = _bounds(argument.get("minimum"), argument.get("maximum"))
        return f"{_SINGULAR.get(kind, kind)} {bounds}".rstrip()
    items = argument.get("items", {})
    if choices := items.get("enum"):
        return f"list of {' | '.join(choices)}"
    bounds = _bounds(argument.get("minItems"), argument.get("maxItems"))
    plural = _PLURAL.get(items.get("type", ""), "values")
    return f"list of {bounds} {plural}" if bounds else f"list of {plural}"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"
    if low is not None:
        return f"{low:g} or more"
    return "" if high is None else f"up to {high:g}"


def _example(name: str, argument: Schema) -> str:
    """An argument as it is typed: ``unit=mlp.12.803``."""
    is_list = argument.get("type") == "array"
    if "address of a unit" in json.dumps(argument):
        value = '["mlp.12.803"]' if is_list else "mlp.12.803"
    elif is_list:
        numbers = argument.get("items", {}).get("type") in ("number", "integer")
        value = "[1, 2]" if numbers else '["...", "..."]'
    else:
        return f'{name}="..."'
    return f"{name}={shlex.quote(value)}"
