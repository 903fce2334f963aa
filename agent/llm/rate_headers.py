"""What a server's headers say: how much of each rate limit is left, and how long to wait.

OpenAI and those that follow it: ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}``, the
reset as a duration ("6m0s", "20ms"). Anthropic:
``anthropic-ratelimit-KIND-{limit,remaining,reset}`` for requests, tokens, input-tokens and
output-tokens, the reset as a time of day. Both describe a bucket that fills steadily, and give
the time until it is full again. A header that cannot be read, or is -1, is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Literal, NamedTuple

Kind = Literal["requests", "tokens", "input-tokens", "output-tokens"]
KINDS: tuple[Kind, ...] = ("requests", "tokens", "input-tokens", "output-tokens")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class Allowance(NamedTuple):
    """What is left of one limit."""

    kind: Kind
    remaining: float
    limit: float | None
    reset_s: float
    """Seconds until it is full again."""


def allowances(headers: Mapping[str, str]) -> tuple[Allowance, ...]:
    """The limits that the headers of an answer describe."""
    return tuple(_allowances(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after``; None without either."""
    if (millis := _number(headers.get("retry-after-ms"))) is not None:
        return millis / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    return seconds if seconds is not None else _until(value, headers)


def _allowances(headers: Mapping[str, str]) -> Iterator[Allowance]:
    for kind in KINDS:
        for pattern in (f"x-ratelimit-{{}}-{kind}", f"anthropic-ratelimit-{kind}-{{}}"):
            remaining = _number(headers.get(pattern.format("remaining")))
            reset = _duration(headers.get(pattern.format("reset")), headers)
            if remaining is not None and reset is not None:
                yield Allowance(
                    kind, remaining, _number(headers.get(pattern.format("limit"))), reset
                )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None


def _duration(text: str | None, headers: Mapping[str, str]) -> float | None:
    """Seconds of "12", "1m3.5s", or until a time of day."""
    if text is None:
        return None
    if (seconds := _number(text)) is not None:
        return seconds
    if text and not _PART.sub("", text).strip():
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return _until(text, headers)


def _until(text: str | None, headers: Mapping[str, str]) -> float | None:
    """Seconds until a time of day by the server's own clock, if it sends its time."""
    when = _time(text)
    if when is None:
        return None
    now = _time(headers.get("date")) or datetime.now(UTC)
    return max(0.0, (when - now).total_seconds())


def _time(text: str | None) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            time = read(text or "")
        except (ValueError, TypeError, IndexError):
            continue
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return None
