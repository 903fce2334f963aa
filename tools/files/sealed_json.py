"""JSON objects that carry their own SHA-256, so that a change of any value is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic import atomic_file

SEAL = "sha256"
"""The key of the hash. It is of the other keys, sorted, without white space."""


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object and its hash; the file is complete or absent."""
    plain = json.loads(json.dumps(content))  # as it will be read: lists for tuples, keys as text
    with atomic_file(path) as part:
        part.write_text(json.dumps({**plain, SEAL: _hash(plain)}, indent=1), encoding="utf-8")


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote, without the hash.

    Raises:
        ValueError: it is not JSON, or not what was written.
        OSError: it cannot be read.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    check_seal(content)
    del content[SEAL]
    return content


def check_seal(content: Any) -> None:
    """Raise ValueError unless an object is what its hash says."""
    if not isinstance(content, dict) or SEAL not in content:
        raise ValueError("it is not an object with its SHA-256")
    rest = {key: value for key, value in content.items() if key != SEAL}
    if (actual := _hash(rest)) != content[SEAL]:
        raise ValueError(f"its content has SHA-256 {actual}, but {content[SEAL]} was recorded")


def _hash(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
