"""Checks that arguments from outside, and results, are plain JSON of a reasonable size.

Arguments come from language models, MCP clients, the review page and command lines. What is checked
here is the same for every instrument and needs no schema; pydantic checks the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import ArgumentError
from ..files.untrusted_text import whole_characters

MAX_TEXT = 20_000
"""Characters of one string; 1,024 tokens, the longest text that is read, rarely have a quarter of it.
Tokenizing 100 MB took 13.9 GB."""
MAX_CHARACTERS = 2_000_000
"""Characters of all strings together."""
MAX_VALUES = 50_000
"""Values; the largest honest call, a probe of 5,000 labelled and grouped texts, has 15,000."""
MAX_DEPTH = 8
MAX_INTEGER = 2**63 - 1
"""What arrays and seeds can hold."""


class NestedValue(NamedTuple):
    """A value inside arguments or a result, and the path to it."""

    path: str
    value: Any
    depth: int


def plain_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with half characters replaced.

    Raises:
        ArgumentError: a number is not finite or too large, or there is too much of something.
    """
    characters = 0
    for count, (path, value, depth) in enumerate(_walk(dict(arguments))):
        if count > MAX_VALUES:
            raise ArgumentError(f"{name}: more than {MAX_VALUES:,} values are given")
        if depth > MAX_DEPTH:
            raise ArgumentError(f"{name}: {path[:60]}: nested more than {MAX_DEPTH} deep")
        if isinstance(value, str):
            characters += len(value)
            if len(value) > MAX_TEXT:
                raise ArgumentError(
                    f"{name}: {path}: has {len(value):,} characters; give at most {MAX_TEXT:,}"
                )
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_INTEGER:
            raise ArgumentError(f"{name}: {path}: the number is beyond {MAX_INTEGER}")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ArgumentError(f"{name}: {path}: {value} is not a finite number")
    if characters > MAX_CHARACTERS:
        raise ArgumentError(
            f"{name}: the texts have {characters:,} characters; give at most {MAX_CHARACTERS:,} in all"
        )
    return _whole(dict(arguments))


def check_numbers(name: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Refuse truth values and strings where the schema has numbers, and 3.0 where it has whole numbers.

    pydantic would read them as numbers: "5", True and 3.0 are more often a slip than meant.
    """
    if isinstance(seed := arguments.get("seed", 0), int) and seed < 0:
        raise ArgumentError(f"{name}: seed: expected 0 or more (given {seed})")
    for argument, expected in schema.get("properties", {}).items():
        for path, value, _ in _walk(arguments.get(argument), argument):
            kinds = _kinds(expected)
            wrong_text = isinstance(value, str) and "string" not in kinds
            wrong_float = isinstance(value, float) and "number" not in kinds
            wrong_truth = isinstance(value, bool) and "boolean" not in kinds
            if kinds & {"integer", "number"} and (wrong_text or wrong_float or wrong_truth):
                raise ArgumentError(
                    f"{name}: {path}: expected a {'number' if 'number' in kinds else 'whole number'}"
                    f" (given {str(value)[:80]!r})"
                )


def check_result(name: str, result: Any) -> None:
    """Refuse a result that holds NaN or an infinity: its arguments were too much for the subject.

    Args:
        result: as JSON.
    """
    for path, value, _ in _walk(result):
        if isinstance(value, float) and not math.isfinite(value):
            raise ArgumentError(
                f"{name}: the result is not a finite number ({path} is {value}): values overflow; give "
                "smaller strengths, or use float32"
            )


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """The JSON types that an argument, or the items of its list, may have."""
    kinds: set[str] = set()
    for option in schema.get("anyOf", [schema]):
        kind = option.get("type", "string")
        kinds |= _kinds(option.get("items", {})) if kind == "array" else {kind}
    return kinds


def _walk(value: Any, path: str = "") -> Iterator[NestedValue]:
    """Every value inside, without recursion, since the depth is for the caller to limit."""
    stack = [NestedValue(path, value, 0)]
    while stack:
        place = stack.pop()
        yield place
        prefix = f"{place.path}." if place.path else ""
        inner: Iterator[tuple[Any, Any]] = iter(())
        if isinstance(place.value, Mapping):
            inner = iter(place.value.items())
        elif isinstance(place.value, (list, tuple)):
            inner = iter(enumerate(place.value))
        for key, item in inner:
            name = whole_characters(str(key))[:60]
            stack.append(NestedValue(f"{prefix}{name}", item, place.depth + 1))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, dict):
        return {whole_characters(str(key)): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
