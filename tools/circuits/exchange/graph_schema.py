"""What the published schema of attribution graphs asks of a file, as a table.

`REQUIRED` and `TYPES` say what draft-07 schema 1.0.0 of Neuronpedia's graph page says
(`apps/webapp/app/api/graph/graph-schema.json` of its repository), which circuit-tracer's files fulfil
too. Properties that it does not name are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class SchemaPart(NamedTuple):
    """One kind of object in a file: what it must have, and the type of what it may have."""

    required: tuple[str, ...]
    types: Mapping[str, str]


_INFO = dict.fromkeys(("description", "creator_name", "creator_url"), "text")
_GENERATOR: dict[str, str] = dict.fromkeys(("name", "version", "url", "email"), "text")

WHOLE = SchemaPart(
    ("metadata", "qParams", "nodes", "links"),
    {"metadata": "object", "qParams": "object", "nodes": "list", "links": "list"},
)
METADATA = SchemaPart(
    ("slug", "scan", "prompt_tokens", "prompt"),
    {
        **dict.fromkeys(("slug", "scan", "prompt"), "text"),
        "prompt_tokens": "texts",
        "node_threshold": "number",
        **dict.fromkeys(
            ("feature_details", "info", "generation_settings", "pruning_settings"), "object"
        ),
    },
)
NESTED: Mapping[tuple[str, ...], SchemaPart] = {
    ("metadata", "feature_details"): SchemaPart(
        (),
        dict.fromkeys(
            (
                "feature_json_base_url",
                "neuronpedia_source_set",
                "neuronpedia_lorsa_source_set",
            ),
            "text",
        ),
    ),
    ("metadata", "info"): SchemaPart(
        (),
        {**_INFO, "source_urls": "list", "generator": "object", "create_time_ms": "number"},
    ),
    ("metadata", "info", "generator"): SchemaPart((), _GENERATOR),
    ("metadata", "generation_settings"): SchemaPart(
        (),
        {
            **dict.fromkeys(("max_n_logits", "batch_size", "max_feature_nodes"), "whole number"),
            "desired_logit_prob": "number",
        },
    ),
    ("metadata", "pruning_settings"): SchemaPart(
        (), dict.fromkeys(("node_threshold", "edge_threshold"), "number")
    ),
    ("qParams",): SchemaPart(
        (),
        {
            "pinnedIds": "texts",
            "supernodes": "list",
            **dict.fromkeys(("linkType", "clickedId", "sg_pos"), "text"),
        },
    ),
}
NODE = SchemaPart(
    ("node_id", "feature", "layer", "ctx_idx", "feature_type", "jsNodeId", "clerp"),
    {
        **dict.fromkeys(("node_id", "feature_type", "jsNodeId", "clerp"), "text"),
        "feature": "whole number or null",
        "layer": "text or whole number",
        "ctx_idx": "whole number",
        **dict.fromkeys(("influence", "activation"), "number or null"),
    },
)
LINK = SchemaPart(
    ("source", "target", "weight"), {"source": "text", "target": "text", "weight": "number"}
)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    # draft-07 counts 1.0 as an integer
    return _is_number(value) and float(value).is_integer()


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "text": _is_text,
    "number": _is_number,
    "whole number": _is_whole,
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "texts": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "whole number or null": lambda value: value is None or _is_whole(value),
    "number or null": lambda value: value is None or _is_number(value),
    "text or whole number": lambda value: _is_text(value) or _is_whole(value),
}


def schema_fault(data: Any) -> str | None:
    """The first thing in which a file differs from the schema; None for a valid one."""
    fault = _fault_of(data, WHOLE, "the file") or _fault_of(data["metadata"], METADATA, "metadata")
    if fault:
        return fault
    for path, part in NESTED.items():
        value = data
        for name in path:
            value = value.get(name, {})
        if fault := _fault_of(value, part, ".".join(path)):
            return fault
    for name, part in (("nodes", NODE), ("links", LINK)):
        for number, row in enumerate(data[name]):
            if fault := _fault_of(row, part, f"{name}[{number}]"):
                return fault
    return None


def _fault_of(value: Any, part: SchemaPart, what: str) -> str | None:
    if not isinstance(value, dict):
        return f"{what} is not an object"
    if missing := [name for name in part.required if name not in value]:
        return f"{what} has no {missing[0]!r}"
    for name, kind in part.types.items():
        if name in value and not CHECKS[kind](value[name]):
            return f"{what}.{name} is {value[name]!r:.60}, where {kind} is expected"
    return None
