"""Limits on what language models take, for a run and for each of its targets.

A call is admitted before it is made and charged after, so that a limit is passed by no more than
the calls in flight. What a run spent before it was resumed counts too.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping

from ...tools.errors import BudgetReached
from ..runlog.model_config import BudgetConfig

Spent = Mapping[str, float]
"""What a call took, by unit: usd, calls, tokens, seconds."""
UNITS = {"usd": "US dollars", "calls": "calls", "tokens": "tokens", "seconds": "seconds of waiting"}


class Budget:
    """Counts what is spent. Safe to use from many threads.

    Args:
        spent: target and what it took, of the calls that were made before.
    """

    def __init__(self, limits: BudgetConfig, spent: Iterable[tuple[str, Spent]] = ()) -> None:
        self._limits = limits
        self._spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._lock = threading.Lock()
        for name, took in spent:
            self.charge(name, took)

    def admit(self, target: str) -> None:
        """Raise `BudgetReached` if a limit is reached."""
        with self._lock:
            total = {unit: sum(took[unit] for took in self._spent.values()) for unit in UNITS}
            _check("the run", self._limits.run, total)
            _check(target, self._limits.target, self._spent[target])

    def charge(self, target: str, took: Spent) -> None:
        """Count what a call took."""
        with self._lock:
            for unit, amount in took.items():
                self._spent[target][unit] += amount


def _check(whose: str, limits: Mapping[str, float], spent: Spent) -> None:
    for unit, limit in limits.items():
        if limit > 0 and spent.get(unit, 0.0) >= limit:
            raise BudgetReached(
                f"budget reached: {whose} took {spent[unit]:,.6g} of {limit:,.6g} {UNITS[unit]}"
            )
