"""Compare a run's log with one that was computed again, event by event and value by value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from .chain import FILE
from .journal import entry_key, request_hash
from .log import Data, EventName, RunLog, canonical

TOLERANCE = 1e-6
"""Difference of a number between machines that is not a mismatch."""
BOOKKEEPING = frozenset({FILE, "sealed", "load", "timing"})
"""Events that say how a run went and what it wrote; none is a result."""
COSTS = {"conclusion": ("seconds", "calls")}
"""Kind of event to the keys of its cost, which are not compared: a score that failed and was retried
costs more than when the event was written."""
ANSWERS = ("call", "explainer_call", "fit", "grades", "follows")
"""Events that are named by the hash of their kind and request."""


class LogComparison(NamedTuple):
    """How a log differs from its recomputation."""

    mismatches: dict[EventName, list[str]]
    """Lines about each event that differs."""
    bitwise: bool
    """Whether every recomputed value is the same to the last bit."""
    computed: dict[str, int]
    """Kind of event to the number that was computed again and compared."""
    not_computed: dict[str, int]
    """Kind of event to the number that only the chain covers."""


def compare_logs(
    old: RunLog, new: RunLog, journal: Collection[str], targets: Collection[str | None]
) -> LogComparison:
    """Compare all events of a log with those that were computed again under the same names.

    Args:
        journal: kinds of events that were copied and not computed.
        targets: those that were computed again; None for the events of the run.
    """
    mismatches: dict[EventName, list[str]] = {}
    computed, not_computed, bitwise = Counter[str](), Counter[str](), True
    kinds = {name.event for name, _ in new.named_events()} - set(journal) - BOOKKEEPING
    for name, data in old.named_events():
        if name.event not in kinds or name.target not in targets:
            not_computed[name.event] += 1
            if expected := _other_name(name, data):
                reason = f"is not the answer to its request, whose name is {expected}"
                mismatches[name] = [f"{name}: {reason}"]
            continue
        computed[name.event] += 1
        again = new.get(*name)
        if again is None:
            mismatches[name] = [f"{name}: is in the log, and is not computed again"]
            continue
        again = again | {key: data[key] for key in COSTS.get(name.event, ()) if key in data}
        if canonical(data) != canonical(again):
            bitwise = False
            if lines := differences(data, again, f"{name}: "):
                mismatches[name] = lines
    for name, _ in new.named_events():
        if name.event in kinds and old.get(*name) is None:
            mismatches[name] = [f"{name}: is not in the log, and is computed again"]
    return LogComparison(mismatches, bitwise, dict(computed), dict(not_computed))


def _other_name(name: EventName, data: Data) -> str:
    """The id that a journaled answer should have by its request; "" if it has that id, or needs none."""
    request = data.get("request")
    if name.event in ANSWERS and name.target is not None and isinstance(request, dict):
        expected = entry_key(name.event, request)
    elif name.event == "llm_call" and isinstance(request, dict) and "new" not in request:
        expected = request_hash(request)
    elif name.event == "prompt":
        expected = request_hash(data, 16)
    else:
        return ""
    return expected if expected != name.id else ""


def differences(old: Any, new: Any, path: str = "", origin: str = "the log") -> list[str]:
    """Lines that say where a value in `origin` and its recomputation differ by more than `TOLERANCE`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = [(key, old.get(key), new.get(key)) for key in {**old, **new}]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(i, left, right) for i, (left, right) in enumerate(zip(old, new, strict=True))]
    elif _are_close(old, new):
        return []
    else:
        line = f"{path}is {old!r} in {origin}, {new!r} computed again"
        return [] if _same(old, new) else [line]
    return [line for key, a, b in pairs for line in differences(a, b, f"{path}{key} ", origin)]


def _are_close(old: Any, new: Any) -> bool:
    both = isinstance(old, float) and isinstance(new, float)
    return both and abs(old - new) <= TOLERANCE * max(1.0, abs(old))


def _same(old: Any, new: Any) -> bool:
    """Equal and of one type: True is not 1."""
    return type(old) is type(new) and old == new
