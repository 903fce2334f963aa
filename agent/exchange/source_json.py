"""JSON of other tools, read with suspicion: what is wrong with a value is one line that names its file.

A value is looked up with its type (`text`, `number`, `texts`, ...). Anything else than that type, a
number that is not finite, or a key that is missing raises UsageError with file, place and key.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...tools.errors import UsageError
from ...tools.files.regular_file import IrregularFileError, read_regular
from ...tools.files.strict_json import parse_strict_json
from ...tools.files.untrusted_text import whole_characters
from ...tools.rows import read_lines

MAX_BYTES = 256 << 20
"""The largest JSON file that is read whole; parsed it may take 20 times its size."""
MAX_LINE = 64 << 20
"""Bytes of one line of JSONL: a feature with all of its activations takes about 1 MB."""


class SourceObject:
    """One JSON object of a foreign file; `place` says where it is."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise UsageError(f"{place}: {describe(value)}, where an object is expected")
        self.values: dict[str, Any] = value
        self.place = place

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def error(self, problem: str) -> UsageError:
        """An error that names the place."""
        return UsageError(f"{self.place}: {problem}")

    def text(self, name: str, default: str | None = None) -> str:
        """A text on one line; numbers are written out. Halves of characters become signs."""
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self._wrong(name, value, "text")
        return " ".join(whole_characters(str(value)).replace("\0", " ").split())

    def number(self, name: str) -> float | None:
        """A finite number, or None where there is none."""
        value = self.values.get(name)
        return None if value is None else finite(value, f"{self.place}: {name}")

    def whole(self, name: str) -> int:
        """A whole number from 0 on; written as text is right, too."""
        value = self.values.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
            value = int(value)
        if type(value) is not int or not 0 <= value < 1 << 53:
            raise self._wrong(name, value, "a whole number from 0 on")
        return value

    def truth(self, name: str) -> bool | None:
        """True or false, or None; 0 and 1 are read as such."""
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value
        if value in (0, 1):
            return bool(value)
        raise self._wrong(name, value, "true or false")

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of finite numbers; empty where there is none."""
        place = f"{self.place}: {name}"
        return tuple(finite(value, place) for value in self._list(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts as they are, such as tokens; empty where there is none."""
        values = self._list(name)
        for value in values:
            if not isinstance(value, str):
                raise self._wrong(name, value, "a list of texts")
        return tuple(map(whole_characters, values))

    def child(self, name: str) -> SourceObject | None:
        """An object inside this one, or None."""
        value = self.values.get(name)
        return None if value is None else SourceObject(value, f"{self.place}: {name}")

    def children(self, name: str) -> Iterator[SourceObject]:
        """The objects of a list; none where there is no list."""
        for number, value in enumerate(self._list(name)):
            yield SourceObject(value, f"{self.place}: {name}[{number}]")

    def _list(self, name: str) -> list[Any]:
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(name, value, "a list")
        return value

    def _wrong(self, name: str, value: Any, expected: str) -> UsageError:
        if value is None:
            there = ", ".join(list(self.values)[:12]) or "nothing"
            return self.error(f"{name!r} is missing, where {expected} is expected; there: {there}")
        return self.error(f"{name!r} is {describe(value)}, where {expected} is expected")


def finite(value: Any, place: str) -> float:
    """A finite number, or a UsageError that names the place."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{place} is {describe(value)}, where a number is expected")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UsageError(
            f"{place} is {value!r:.40}, which is no finite number; write the file again without it"
        )
    return number


def describe(value: Any) -> str:
    """A value in a message, shortened if it is large."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return f"{value!r:.60}"


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The value of a JSON file, which may be compressed with gzip.

    Raises:
        UsageError: no such file, too large, truncated, not UTF-8, or NaN in it.
    """
    try:
        raw = read_regular(path, max_bytes)
        if path.suffix == ".gz":
            raw = _unzipped(raw, path, max_bytes)
    except IrregularFileError as error:
        raise UsageError(f"{path} is not read: {error.strerror}") from None
    except FileNotFoundError:
        raise UsageError(f"{path} is missing; give the whole folder") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    return _parsed(raw, str(path))


def _unzipped(raw: bytes, path: Path, max_bytes: int) -> bytes:
    """The content of gzip, up to a size: a small file may hold a very large one."""
    import io

    with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UsageError(
            f"{path} holds more than the {max_bytes:,} bytes that are read of such a file"
        )
    return content


def read_objects(path: Path) -> Iterator[SourceObject]:
    """The objects on the lines of a JSONL file, which may be compressed with gzip."""
    hint = "; each line should be one JSON object"
    for number, line in read_lines(path, MAX_LINE, hint):
        if line.strip():
            place = f"{path}:{number}"
            yield SourceObject(_parsed(line.encode("utf-8", "surrogatepass"), place), place)


def read_object(path: Path) -> SourceObject:
    """The object of a JSON file."""
    return SourceObject(read_json(path), str(path))


def _parsed(raw: bytes, place: str) -> Any:
    try:
        return parse_strict_json(raw.decode())
    except (ValueError, RecursionError) as error:  # UTF-8's errors are ValueErrors
        raise UsageError(
            f"{place} cannot be read as JSON: {error}; it may be cut short: copy or write it again"
        ) from error
