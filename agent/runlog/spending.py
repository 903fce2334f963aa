"""The cost of a run's language models in one line, with the price of a kept explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .views import TargetRow


def spending_summary(rows: Sequence[TargetRow]) -> str:
    """Calls, tokens and dollars of the explainer and, apart, of simulator and judge; "" if none was asked."""
    parts: list[str] = []
    if calls := sum(row["calls"] for row in rows):
        tokens = sum(row["input_tokens"] for row in rows)
        cached = sum(row["cached_tokens"] for row in rows)
        written = sum(row["output_tokens"] for row in rows)
        dollars = _dollars([row["usd"] for row in rows])
        parts.append(
            f"{calls} calls, {tokens:,} tokens in ({cached:,} cached), {written:,} out{dollars}"
        )
    if calls := sum(row["reading_calls"] for row in rows):
        tokens = sum(row["reading_tokens"] for row in rows)
        dollars = _dollars([row["reading_usd"] for row in rows])
        parts.append(f"simulator and judge: {calls} calls, {tokens:,} tokens{dollars}")
    kept = sum(row["verdict"] == "kept" for row in rows)
    total = _sum([row[role] for row in rows for role in ("usd", "reading_usd")])
    if kept and total:
        parts.append(f"${total / kept:.2f} a kept explanation")
    return "".join(f"; {part}" for part in parts)


def _dollars(usd: Sequence[float | None]) -> str:
    total = _sum(usd)
    return ", price unknown" if total is None else f", ${total:.2f}"


def _sum(usd: Sequence[float | None]) -> float | None:
    """None where some price is not known: a sum without it would be wrong."""
    return None if None in usd else sum(amount or 0.0 for amount in usd)
