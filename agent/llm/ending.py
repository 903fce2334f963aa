"""How a reply ended, and ids for its tool calls.

Servers have different words for "cut off", some do not say that a limit was reached, and some send
tool calls without ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...evals.judge.reasoning import WithoutReasoning
from .conversation import Reply, Stop

_CUT = re.compile(
    r"length|max_?(output_?)?tokens|token_?limit|context|truncat|incomplete|error|abort|cancel"
    r"|time_?out|insufficient|pause_turn|interrupt",
    re.IGNORECASE,
)
"""Words in a reason to stop that say that the reply is not whole."""
_REFUSED = re.compile(
    r"filter|safety|refus|block|recitation|prohibit|sensitive|moderat", re.IGNORECASE
)


def stop_of(reason: object, known: Mapping[str, Stop], found: WithoutReasoning) -> Stop:
    """How a reply ended.

    Args:
        reason: what the server says.
        known: the protocol's own words.
        found: the reply's text; one that ends within reasoning was cut off.
    """
    word = str(reason)
    stop = known.get(word) or known.get(word.lower())
    if stop is None and _REFUSED.search(word):
        stop = "refused"
    elif stop is None:
        stop = "length" if _CUT.search(word) else "other"
    return "length" if found.unfinished and stop != "refused" else stop


def ended_at_limit(reply: Reply, most_output: int) -> Reply:
    """The reply; cut off if its tokens are exactly the limit, whatever the server says."""
    at_limit = reply.usage is not None and reply.usage.output == most_output
    return replace(reply, stop="length") if at_limit and reply.stop != "refused" else reply


def with_ids(calls: Sequence[Mapping[str, Any]], turn: int) -> list[dict[str, Any]]:
    """Tool calls with a new id for each call without one, so that each can be answered.

    A new id is nine letters and digits, which every server accepts.
    """
    seen: set[str] = set()
    named: list[dict[str, Any]] = []
    for number, call in enumerate(calls):
        id = call.get("id")
        new = f"call{turn % 100:02}{number % 1000:03}"
        id = id if isinstance(id, str) and id.strip() and id not in seen else new
        seen.add(id)
        named.append({**call, "id": id})
    return named
