"""Reads a JSON file of a subject's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files.regular_file import read_regular
from .library_errors import reason


def read_json_object(path: Path, max_bytes: int, expected: str = "a JSON object") -> dict[str, Any]:
    """The object in a file.

    Args:
        expected: what the file should hold, for the message.

    Raises:
        UsageError: the file cannot be read, is not JSON, or does not hold an object.
    """
    try:
        content = json.loads(read_regular(path, max_bytes))
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{str(path)!r} is not JSON ({reason(error)}); fetch the model again"
        ) from error
    if not isinstance(content, dict):
        raise UsageError(f"{str(path)!r} holds {json.dumps(content)[:60]}; expected {expected}")
    return content
