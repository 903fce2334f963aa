"""Minimal pairs from a user's table."""

from __future__ import annotations

from pathlib import Path

from ...errors import UsageError
from ...rows import Row, kind_of, read_all_rows
from .pair import MinimalPair, minimal_pairs, phenomena


def read_pairs(spec: str, seed: int = 0) -> list[MinimalPair]:
    """Pairs by name or from a table.

    Args:
        spec: `all`, names of phenomena separated by commas, or a table with the columns `good` and
            `bad`, and optionally `prefix` (before both), `bad_prefix`, `phenomenon` and `group`.

    Raises:
        UsageError: an unknown phenomenon, or a row without a good and a bad text or with equal ones.
    """
    path = Path(spec).expanduser()
    if kind_of(path) is not None:
        if not path.exists():
            raise UsageError(f"no file {spec!r}; give the path of a table of pairs")
        pairs = [_pair(row) for row in read_all_rows(path)]
        if not pairs:
            raise UsageError(f"{spec} has no rows; give a table with the columns good and bad")
        return pairs
    names = list(phenomena()) if spec == "all" else [name.strip() for name in spec.split(",")]
    return [pair for name in names for pair in minimal_pairs(name, seed=seed)]


def _pair(row: Row) -> MinimalPair:
    good, bad = row.text("good"), row.text("bad")
    if good is None or bad is None:
        raise row.error("a text is needed under 'good' and one under 'bad'")
    prefix = row.text("prefix") or ""
    bad_prefix = row.text("bad_prefix") or prefix
    if prefix + good == bad_prefix + bad:
        raise row.error(f"the good and the bad text are the same: {prefix + good!r:.60}")
    group = row.text("group") or prefix + good
    return MinimalPair(row.text("phenomenon") or "pairs", group, prefix, good, bad_prefix, bad)
