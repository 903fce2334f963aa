"""What a run's language models cost: one row for each request, whatever came back, and a line of totals.

A run that was made before requests were logged (`llm_request`) has only the rows of its answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .events import LLM_CALL, LLM_REQUEST
from .log import Data, RunLog

if TYPE_CHECKING:
    from .views import TargetRow


def paid_rows(log: RunLog, target: str | None) -> list[Data]:
    """What was paid for a target, or for the run itself: its requests, and answers without a request.

    Programs in place of models, and old runs, log no requests.
    """
    requests = list(log.all(LLM_REQUEST, target).values())
    counted = {row["key"] for row in requests}
    answers = log.all(LLM_CALL, target) if target is not None else {}
    return requests + [row for key, row in answers.items() if key not in counted]


def cost_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The cost of a request or of a journaled answer, in the units of a budget."""
    guess = row.get("guess") or {}
    tokens = (row["input_tokens"] or 0) + (row["output_tokens"] or 0) or guess.get("tokens") or 0
    usd = row["usd"] if row["usd"] is not None else guess.get("usd")
    calls = float(row.get("calls", 1))
    return {"calls": calls, "tokens": float(tokens), "usd": usd or 0.0, "seconds": row["seconds"]}


def spent_before(log: RunLog, targets: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """Target and cost of everything that a log says was paid; the target of the run itself is ""."""
    for target in (None, *targets):
        for row in paid_rows(log, target):
            yield target or "", cost_of(row)


def spending_summary(rows: Sequence[TargetRow], checks: int = 0) -> str:
    """Requests, tokens and dollars, of the explainer and of the other models; "" if none was sent.

    Args:
        checks: requests that checked the models before the run.
    """
    parts: list[str] = []
    if calls := sum(row["calls"] for row in rows):
        tokens = sum(row["input_tokens"] for row in rows)
        cached = sum(row["cached_tokens"] for row in rows)
        written = sum(row["output_tokens"] for row in rows)
        dollars = _dollars([row["usd"] for row in rows])
        estimated = _estimated(sum(row["estimated_calls"] for row in rows))
        parts.append(
            f"{calls} calls{estimated}, {tokens:,} tokens in ({cached:,} cached), {written:,} out"
            f"{dollars}"
        )
    if calls := sum(row["reading_calls"] for row in rows):
        tokens = sum(row["reading_tokens"] for row in rows)
        dollars = _dollars([row["reading_usd"] for row in rows])
        estimated = _estimated(sum(row["estimated_reading_calls"] for row in rows))
        parts.append(f"simulator and judge: {calls} calls{estimated}, {tokens:,} tokens{dollars}")
    if checks:
        parts.append(f"{checks} calls to check the models before the run")
    kept = sum(row["verdict"] == "kept" for row in rows)
    total = _sum([row[role] for row in rows for role in ("usd", "reading_usd")])
    if kept and total:
        parts.append(f"${total / kept:.2f} a kept explanation")
    return "".join(f"; {part}" for part in parts)


def _estimated(calls: int) -> str:
    """How many calls have no cost from the server: they failed, timed out, broke off or had no count."""
    return f" (the cost of {calls} is estimated)" if calls else ""


def _dollars(usd: Sequence[float | None]) -> str:
    total = _sum(usd)
    return ", price unknown" if total is None else f", ${total:.2f}"


def _sum(usd: Sequence[float | None]) -> float | None:
    """None where some price is not known: a sum without it would be wrong."""
    return None if None in usd else sum(amount or 0.0 for amount in usd)
