"""An instrument's arguments for people: a line each, out of the JSON schema that programs and language models read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...tools.instruments import Instrument

_NOUNS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}
_MANY = {"string": "texts", "integer": "whole numbers", "number": "numbers"}


def manual(instrument: Instrument) -> str:
    """The description, each argument, what must be named beside, and how a call is written."""
    schema = instrument.schema()
    properties, required = schema.get("properties", {}), schema.get("required", [])
    width = max(map(len, properties), default=0)
    rows = [
        f"  {name:<{width}}  {_line(spec, required=name in required)}"
        for name, spec in properties.items()
    ]
    needs = " and ".join(f"--{need}" for need in instrument.needs)
    example = " ".join(
        ["hubel tool", instrument.name, *(_given(name, properties[name]) for name in required)]
    )
    return "\n".join(
        [
            instrument.description,
            "",
            "arguments",
            *rows,
            "",
            f"  {example} --index I",
            f"needs {needs}; --index names both",
        ]
    )


def _line(spec: Mapping[str, Any], *, required: bool) -> str:
    """``list of 1 to 8 numbers; in units of its activation``."""
    default = (
        ""
        if required or spec.get("default") is None
        else f", default {json.dumps(spec['default'])}"
    )
    optional = ", may be left out" if not required and spec.get("default") is None else ""
    told = [f"{_kind(spec)}{default}{optional}"]
    return "; ".join([*told, spec["description"]] if "description" in spec else told)


def _kind(spec: Mapping[str, Any]) -> str:
    real = [option for option in spec.get("anyOf", [spec]) if option.get("type") != "null"]
    if choices := [str(choice) for option in real for choice in option.get("enum", [])]:
        return " | ".join(choices)
    return " or ".join(_of(option) for option in real)


def _of(spec: Mapping[str, Any]) -> str:
    kind = spec.get("type", "")
    if kind != "array":
        bounds = _bounds(spec.get("minimum"), spec.get("maximum"))
        return f"{_NOUNS.get(kind, kind)}{f' {bounds}' if bounds else ''}"
    items = spec.get("items", {})
    if choices := items.get("enum"):
        return f"list of {' | '.join(choices)}"
    bounds = _bounds(spec.get("minItems"), spec.get("maxItems"))
    return f"list of {f'{bounds} ' if bounds else ''}{_MANY.get(items.get('type', ''), 'values')}"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"
    if low is not None:
        return f"{low:g} or more"
    return "" if high is None else f"up to {high:g}"


def _given(name: str, spec: Mapping[str, Any]) -> str:
    """An argument as it is typed: ``unit=mlp.12.803``."""
    if "address of a unit" in json.dumps(spec):
        value = '["mlp.12.803"]' if spec.get("type") == "array" else "mlp.12.803"
    elif spec.get("type") == "array":
        value = (
            "[1, 2]"
            if spec.get("items", {}).get("type") in ("number", "integer")
            else '["...", "..."]'
        )
    else:
        value = "..."
    return f"{name}={shlex.quote(value)}" if value != "..." else f'{name}="..."'
