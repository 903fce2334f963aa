"""JSON as the standard has it: `json` itself takes NaN, and the last of two values under one name."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn


def parse_strict_json(text: str, *, allow_nan: bool = False) -> Any:
    """The value of a JSON text.

    Args:
        allow_nan: for files of programs that write NaN and Infinity; the caller looks at the numbers.

    Raises:
        ValueError: not JSON, or a name is there twice, or NaN or Infinity.
        RecursionError: nested too deeply.
    """
    constants = float if allow_nan else _refuse
    return json.loads(text, object_pairs_hook=_unique, parse_constant=constants)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the name {name!r} is there twice")
    return result


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
