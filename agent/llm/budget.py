"""Limits on what language models take, for a run and for each of its targets.

A request is admitted and counted as a call in one step, before it is sent, so that a limit of calls
is never exceeded. Its tokens, dollars and seconds are charged when it has ended, so that other
limits are exceeded by at most the calls in flight. The largest cost of a batch's requests is
reserved before it is submitted, so that a batch exceeds no limit. What a run spent before it was
resumed counts too.
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
        self._total: dict[str, float] = defaultdict(float)
        self._spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._lock = threading.Lock()
        for target, cost in spent:
            self.charge(target, cost)

    def admit(self, target: str) -> None:
        """Raise BudgetReached if a limit is reached."""
        with self._lock:
            self._check(target)

    def count_call(self, target: str) -> None:
        """Count a call that is about to be made; raise BudgetReached if a limit is reached."""
        with self._lock:
            self._check(target)
            self._add(target, "calls", 1.0)

    def reserve(self, target: str, cost: Amounts) -> None:
        """Add the largest cost that requests may have; raise BudgetReached if it does not fit."""
        with self._lock:
            self._check(target)
            limits, spent = self._limits, self._spent[target]
            for whose, limit, so_far in (
                ("the run", limits.run, self._total),
                (target, limits.target, spent),
            ):
                _check_fits(whose, limit, so_far, cost)
            for unit, amount in cost.items():
                self._add(target, unit, amount)

    def charge(self, target: str, cost: Amounts) -> None:
        """Add a cost to what a target has spent."""
        with self._lock:
            for unit, amount in cost.items():
                self._add(target, unit, amount)

    def _add(self, target: str, unit: str, amount: float) -> None:
        self._spent[target][unit] += amount
        self._total[unit] += amount

    def _check(self, target: str) -> None:
        _check("the run", self._limits.run, self._total)
        _check(target, self._limits.target, self._spent[target])


def _check(whose: str, limits: Mapping[str, float], spent: Amounts) -> None:
    for unit, limit in limits.items():
        if limit > 0 and spent.get(unit, 0.0) >= limit:
            raise BudgetReached(
                f"budget reached: {whose} took {spent[unit]:,.6g} of {limit:,.6g} {UNITS[unit]}"
            )


def _check_fits(whose: str, limits: Mapping[str, float], spent: Amounts, cost: Amounts) -> None:
    for unit, limit in limits.items():
        if limit > 0 and spent.get(unit, 0.0) + cost.get(unit, 0.0) > limit:
            raise BudgetReached(
                f"budget reached: {whose} took {spent.get(unit, 0.0):,.6g} of {limit:,.6g} "
                f"{UNITS[unit]}, and the next request may take {cost.get(unit, 0.0):,.6g}"
            )
