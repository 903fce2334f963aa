"""What the index has on a unit: exemplars and statistics, all from explore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ..errors import ArgumentError
from ..index.split_reader import ExemplarKind, UnitStatisticsRow
from ..subject.address import Unit
from .registry import InstrumentContext, Result, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens

Sign = Literal["+", "-"]


@dataclass(frozen=True)
class ExemplarText:
    """A context of the corpus with a unit's activation at each token.

    Attributes:
        context: its number in the index.
        activations: signed, whichever side was requested.
        peak: position where the requested side is strongest.
    """

    context: int
    tokens: list[str]
    activations: list[float]
    peak: int


@dataclass(frozen=True)
class Exemplars(Result):
    """Contexts in which a unit fires on one side, the strongest first."""

    unit: str
    side: Sign
    kind: ExemplarKind
    exemplars: list[ExemplarText]

    def render(self) -> str:
        name = "negative" if self.side == "-" else "positive"
        head = f"{self.unit}, {self.kind} exemplars of its {name} side"
        if not self.exemplars:
            return f"{head}: none, it never fires there"
        sign = -1 if self.side == "-" else 1
        strengths = [
            [max(0.0, sign * value) for value in exemplar.activations]
            for exemplar in self.exemplars
        ]
        rows = list(zip(self.exemplars, strengths, strict=True))
        scale = max(strength[exemplar.peak] for exemplar, strength in rows)
        lines = [
            f"  {exemplar.activations[exemplar.peak]:+.3g} | "
            + mark_active_tokens(exemplar.tokens, strength, scale, exemplar.peak)
            for exemplar, strength in rows
        ]
        return "\n".join([f"{head} (9 is {scale:.3g}):", *lines])


@instrument("activations.exemplars", needs=("index",))
def exemplars(
    context: InstrumentContext,
    unit: UnitAddress,
    side: Annotated[
        Sign | None, Field(description="default: the address's own side, else +")
    ] = None,
    kind: ExemplarKind = "top",
    k: Annotated[int, Field(ge=1, le=50)] = 8,
) -> Exemplars:
    """Show corpus contexts in which a unit fires, with its activation at each token.

    top: where it is strongest. quantile: spread over its whole range, which shows what weak and
    middling activations are about. random: contexts drawn at random, mostly quiet. Look at both
    sides: gated neurons fire negatively too.
    """
    address = Unit.parse(unit)
    if side is not None and address.side not in ("both", side):
        raise ArgumentError(f"unit {unit!r} and side {side!r} contradict each other; leave one out")
    chosen: Sign = side or ("-" if address.side == "-" else "+")
    rows = context.require_index().exemplars(address.unsided, chosen, kind=kind, k=k)
    texts = [ExemplarText(e.context, e.tokens, rounded(e.activations), e.peak) for e in rows]
    return Exemplars(str(address.unsided), chosen, kind, texts)


@dataclass(frozen=True)
class UnitStatistics(UnitStatisticsRow, Result):
    """A unit's signed activations over explore, position 0 left out."""

    def render(self) -> str:
        return (
            f"{self.unit} over {self.n:,} tokens: from {self.min:.3g} to {self.max:.3g}, "
            f"mean {self.mean:.3g}, standard deviation {self.std:.3g}; 1 % below {self.q01:.3g}, "
            f"10 % below {self.q10:.3g}, half below {self.q50:.3g}, 10 % above {self.q90:.3g}, "
            f"1 % above {self.q99:.3g}; active (a tenth of its largest) on {self.density:.1%} of "
            f"tokens, positive on {self.positive:.1%}"
        )


@instrument("activations.statistics", needs=("index",))
def statistics(context: InstrumentContext, unit: UnitAddress) -> UnitStatistics:
    """Give a unit's range, mean and quantiles on the corpus, and how often it is active.

    Tells which side is the stronger one, and what counts as firing: 10 % of tokens are above q90.
    """
    row = context.require_index().statistics(Unit.parse(unit).unsided)
    address, n_tokens, *numbers = vars(row).values()
    return UnitStatistics(address, n_tokens, *rounded(numbers))
