"""What a soak ends with: promises, each with what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Promise:
    """One line of the table: what was found, and what was promised."""

    what: str
    found: Any
    promised: str
    kept: bool


@dataclass(frozen=True)
class SoakResult:
    """All promises, and all counts."""

    promises: list[Promise]
    figures: dict[str, Any]
    notes: list[str]

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return all(promise.kept for promise in self.promises)


def never(what: str, n: int) -> Promise:
    """The promise that something never happens."""
    return Promise(what, n, "0", n == 0)


def counts(tally: object) -> dict[str, Any]:
    """The counts of a tally, for the figures."""
    return {name: value for name, value in vars(tally).items() if name != "notes"}
