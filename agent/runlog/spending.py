"""What a run's language models took, in one line, with what a kept explanation cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def spending_summary(found: Sequence[dict[str, Any]]) -> str:
    """Calls, tokens and dollars of the explainer and, apart, of simulator and judge; "" when none
    was asked.

    Args:
        found: rows of `views.target_rows`.
    """
    calls = sum(r["calls"] for r in found)
    tokens, cached = (sum(r[k] for r in found) for k in ("input_tokens", "cached_tokens"))
    said = f"; {calls} calls, {tokens:,} tokens in ({cached:,} cached), {sum(r['output_tokens'] for r in found):,} out"
    said = (said + _dollars([r["usd"] for r in found])) if calls else ""
    if reading := sum(r["reading_calls"] for r in found):
        said += f"; simulator and judge: {reading} calls, {sum(r['reading_tokens'] for r in found):,} tokens"
        said += _dollars([r["reading_usd"] for r in found])
    kept = sum(r["verdict"] == "kept" for r in found)
    usd = [r[k] for r in found for k in ("usd", "reading_usd")]
    known = [amount for amount in usd if amount is not None]
    return said + (
        f"; ${sum(known) / kept:.2f} a kept explanation"
        if kept and sum(known) and None not in usd
        else ""
    )


def _dollars(usd: list[float | None]) -> str:
    known = [amount for amount in usd if amount is not None]
    return f", ${sum(known):.2f}" if len(known) == len(usd) else ", price unknown"
