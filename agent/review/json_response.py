"""Answers as JSON, whatever is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse


class JsonResponse(JSONResponse):
    """JSON whatever is in it: what is no number is null, lone surrogates are escaped."""

    def render(self, content: Any) -> bytes:
        return plain_json(content)


def plain_json(content: Any) -> bytes:
    """Compact ASCII JSON; a number that is none becomes null."""
    try:
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(content), separators=(",", ":"), allow_nan=False).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value
