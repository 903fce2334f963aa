"""What a study returns: a table, claims with verdicts, and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..tools.errors import UsageError
from .figures import Figure

Verdict = Literal["supported", "refuted", "cannot say"]


@dataclass(frozen=True)
class StudyClaim:
    """A sentence that could be false, and what the measurements say of it.

    Attributes:
        value: the measured figure, with its interval `low` to `high`; None if it has none.
        control: the same figure for what the claim must exceed or stay below, such as a probe of
            shuffled labels.
        n: independent observations (texts, groups or documents) behind the figure.
    """

    claim: str
    verdict: Verdict
    value: float | None
    low: float | None
    high: float | None
    control: float | None
    n: int


@dataclass(frozen=True)
class StudyResult:
    """The outcome of a study.

    Args:
        rows: one table: flat objects of plain values with the same keys.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    claims: Sequence[StudyClaim] = ()
    figures: Sequence[Figure] = ()

    def __post_init__(self) -> None:
        if not self.claims:
            raise UsageError("a study makes at least one claim, if only that it cannot say")
        for what, names in (
            ("claims", [claim.claim for claim in self.claims]),
            ("figures", [figure.name for figure in self.figures]),
        ):
            repeated = [name for name, times in Counter(names).items() if times > 1]
            if repeated:
                raise UsageError(f"two {what} of a study are called {repeated[0]!r}")
        if len({tuple(row) for row in self.rows}) > 1:
            raise UsageError("the rows of a study have different columns")
