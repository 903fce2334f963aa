"""JSON objects from files of strangers: size, form and numbers are checked, and a fault is one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NoReturn

from ...errors import UsageError
from ...files.regular_file import IrregularFileError, read_regular
from ...files.strict_json import parse_strict_json

MAX_BYTES = 256 << 20
"""The circuit of a model of 7 billion weights, 1.6 million edges, has about 120 MB."""


class FileFault(Exception):
    """What is wrong in a file, without its name."""


def read_bytes(path: Path) -> bytes:
    """The content of a circuit's file; raises UsageError."""
    try:
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        raise UsageError(f"no file {str(path)!r}; give the file of a circuit") from None
    except IrregularFileError as error:
        raise UsageError(f"{path} is not read: {error.strerror}") from None


def parse_object(content: bytes) -> dict[str, Any]:
    """The JSON object in a file; raises FileFault."""
    try:
        data = parse_strict_json(content.decode(), allow_nan=True)
    except UnicodeDecodeError:
        refuse("neither text in UTF-8 nor a .pt file; export the circuit as JSON")
    except (ValueError, RecursionError) as error:
        refuse(f"not JSON, or cut off: {error}")
    return an_object(data, "the file")


def an_object(value: Any, what: str) -> dict[str, Any]:
    """The value, if it is an object."""
    return value if isinstance(value, dict) else refuse(f"{what} is not an object")


def a_list(value: Any, what: str) -> list[Any]:
    """The value, if it is a list."""
    return value if isinstance(value, list) else refuse(f"{what} is not a list")


def a_size(value: Any, what: str) -> int:
    """The value, if it is a number of things."""
    if type(value) is int and 0 < value < 1 << 31:
        return value
    raise FileFault(f"{what} is {value!r:.60}, where a whole number above 0 is expected")


def a_number(value: Any, what: str) -> float:
    """The value, if it is a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise FileFault(f"{what} is {value!r:.60}, where a finite number is expected")


def a_flag(value: Any, what: str) -> bool:
    """The value, if it is true or false."""
    if isinstance(value, bool):
        return value
    raise FileFault(f"{what} is {value!r:.60}, where true or false is expected")


def refuse(fault: str) -> NoReturn:
    """Raise FileFault."""
    raise FileFault(fault)
