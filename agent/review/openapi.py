"""The interface as data: addresses and what they take; and its description as OpenAPI 3.1."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ... import __version__
from .target_list import FILTERS, MAX_ROWS, RANGES, SORTS

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
DIRECTIONS: Schema = {"type": "string", "enum": ["asc", "desc"]}
SPLITS: Schema = {"type": "string", "enum": ["explore", "select", "holdout"]}
COMPARED: Schema = {
    "type": "string",
    "enum": ["position", "target", "difference", "a", "b", "layer"],
}
PAGED: dict[str, Schema] = {
    "offset": {"type": "integer", "minimum": 0},
    "limit": {"type": "integer", "minimum": 0, "maximum": MAX_ROWS},
}
LISTED: dict[str, Schema] = {
    "sort": {"type": "string", "enum": list(SORTS)},
    "dir": DIRECTIONS,
    **PAGED,
    **dict.fromkeys((*FILTERS, "q"), TEXT),
    **{f"{name}_{end}": NUMBER for name in RANGES for end in ("min", "max")},
}
_REFUSALS = {
    "400": "invalid request",
    "401": "no token",
    "403": "held-out text that is closed, or a request from another site",
    "404": "not found",
    "409": "unavailable now (started without --live, the index is gone), or a file of the run cannot be read",
    "413": "too large",
    "415": "not JSON",
    "421": "a foreign host name",
}


@dataclass(frozen=True)
class Operation:
    """One address with a method. Its description is the first line of the docstring of `answer`."""

    method: str
    path: str
    answer: Callable[..., Any]
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: str | None = None
    """Name of the model of its body in `request_models`, which is slow to import."""
    status: int = 200


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """The interface as OpenAPI."""
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    error = {"type": "object", "properties": {"error": TEXT}, "required": ["error"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hubel review",
            "version": __version__,
            "description": "Runs, targets, people's verdicts. The address that `hubel review` prints sets the cookie.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": error}},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    """The OpenAPI description of one route."""
    parameters = [_parameter(name, "path", TEXT) for name in re.findall(r"{(\w+)}", operation.path)]
    parameters += [_parameter(name, "query", schema) for name, schema in operation.query.items()]
    error_content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses: dict[str, Any] = {
        code: {"description": reason, "content": error_content}
        for code, reason in _REFUSALS.items()
    }
    responses[str(operation.status)] = {
        "description": "the answer",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    description: dict[str, Any] = {
        "operationId": operation.answer.__name__,
        "summary": inspect.cleandoc(operation.answer.__doc__ or "").split("\n")[0],
        "parameters": parameters,
        "responses": responses,
    }
    if operation.body is not None:
        from . import request_models

        schema = getattr(request_models, operation.body).model_json_schema()
        description["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return description


def _parameter(name: str, place: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}
