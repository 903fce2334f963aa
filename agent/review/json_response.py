"""JSON of anything: NaN and infinities become null, and all text is ASCII."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse


class JsonResponse(JSONResponse):
    """A response of `plain_json`."""

    def render(self, content: Any) -> bytes:
        return plain_json(content)


def plain_json(content: Any) -> bytes:
    """Compact ASCII JSON, so that lone surrogates are escaped; a number that is not finite becomes null."""
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
