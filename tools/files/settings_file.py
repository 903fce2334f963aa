"""Small files of settings that a user wrote, in TOML or JSON: suites, scripts, prices, questions.

Each fault is one line that names the file, and the key where there is one.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .regular_file import read_regular
from .strict_json import parse_strict_json

MAX_BYTES = 1 << 24
"""The largest file of settings: a script of a hundred thousand replies."""


def read_settings_file(path: Path, missing: str) -> Any:
    """The content of a TOML file, or of JSON if the name ends with .json.

    Args:
        missing: what to say if there is no such file.

    Raises:
        UsageError: it cannot be read, is neither, or holds a value that nothing can use.
    """
    text = read_settings_text(path, missing)
    return parse_settings(text, str(path), is_json=path.suffix.lower() == ".json")


def read_settings_text(path: Path, missing: str) -> str:
    """The text of a file of settings; raises UsageError."""
    try:
        raw = read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        raise UsageError(missing) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        raise UsageError(f"{path} is UTF-16 or binary; expected UTF-8 text")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}:{line}: byte {raw[error.start]:#04x} is not UTF-8; convert the file, for "
            "instance: iconv -f latin1 -t utf-8"
        ) from None


def parse_settings(text: str, origin: str, *, is_json: bool = False) -> Any:
    """The content of a text of TOML or JSON; `origin` is its name in messages."""
    language = "JSON" if is_json else "TOML"
    try:
        content = parse_strict_json(text) if is_json else tomllib.loads(text)
        for key, value in _values(content, ""):
            if fault := _fault(value):
                raise UsageError(f"{origin}: {key or 'the content'} is {fault}")
    except RecursionError:
        raise UsageError(f"{origin} is nested too deeply to be read") from None
    except ValueError as error:  # also of a number with thousands of digits
        raise UsageError(f"{origin} is not {language}: {error}") from None
    return content


def _values(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value with its key (``unit[2].match``), and every key itself."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"a key in {key}" if key else "a key", name
            yield from _values(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            yield from _values(inner, f"{key}[{number}]")
    else:
        yield key, value


def _fault(value: Any) -> str:
    """Why a value cannot be used by anything, or ""."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}; expected a finite number"
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return "a whole number of more than 64 bits"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return (
                f"{value[error.start]!r} at character {error.start + 1}: half of a surrogate pair"
            )
    return ""
