"""Limits on what language models take, for a run and for each of its targets.

A call is admitted before it is made and charged afterwards, so that a limit is exceeded by at most
the calls in flight. What a run spent before it was resumed counts too.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping

from ...tools.errors import BudgetReached
from ..runlog.model_config import BudgetConfig

Amounts = Mapping[str, float]
"""The cost of a call, by unit: usd, calls, tokens, seconds."""
UNITS = {"usd": "US dollars", "calls": "calls", "tokens": "tokens", "seconds": "seconds of waiting"}


class Budget:
    """Adds up what is spent and enforces the limits. Safe to use from many threads.

    Args:
        spent: target and cost of each call that was made before.
    """

    def __init__(self, limits: BudgetConfig, spent: Iterable[tuple[str, Amounts]] = ()) -> None:
        self._limits = limits
        self._spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._lock = threading.Lock()
        for target, cost in spent:
            self.charge(target, cost)

    def admit(self, target: str) -> None:
        """Raise `BudgetReached` if a limit is reached."""
        with self._lock:
            total = {unit: sum(cost[unit] for cost in self._spent.values()) for unit in UNITS}
            _check("the run", self._limits.run, total)
            _check(target, self._limits.target, self._spent[target])

    def charge(self, target: str, cost: Amounts) -> None:
        """Add the cost of a call to what its target has spent."""
        with self._lock:
            for unit, amount in cost.items():
                self._spent[target][unit] += amount


def _check(whose: str, limits: Mapping[str, float], spent: Amounts) -> None:
    for unit, limit in limits.items():
        if limit > 0 and spent.get(unit, 0.0) >= limit:
            raise BudgetReached(
                f"budget reached: {whose} took {spent[unit]:,.6g} of {limit:,.6g} {UNITS[unit]}"
            )
