"""Sizes in words."""

from __future__ import annotations


def readable_size(n_bytes: int) -> str:
    """Bytes with a readable unit: ``538 MB``."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
