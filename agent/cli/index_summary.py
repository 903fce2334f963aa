"""What an index holds and what it cost, in a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...tools.files.sizes import readable_size

if TYPE_CHECKING:
    from ...tools.index import IndexSummary


def describe_store(index: Path) -> str:
    """The end of such a line: how large the activation store is."""
    from ...tools.index.activation_store.layout import store_bytes

    size = store_bytes(index)
    return f"; activation store {readable_size(size)}" if size else "; no activation store"


def describe(summary: IndexSummary) -> str:
    """One line: what was indexed, how fast, and the share of time in the model's forward pass."""
    seconds = max(summary.total_seconds, 1e-9)
    rate, forward = summary.tokens / seconds, summary.forward_seconds / seconds
    share = f", {forward:.0%} of the time in the model's forward pass" if forward else ""
    return (
        f"{summary.units:,} units over {summary.tokens:,} tokens in {seconds:.0f} s "
        f"({rate:,.0f} tokens/s{share}), "
        f"{readable_size(summary.bytes)}, peak memory {summary.peak_rss_mb:,.0f} MB"
    )
