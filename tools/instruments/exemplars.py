"""What the index knows of a unit: exemplars and statistics, all from explore."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ..errors import ArgumentError
from ..subject.address import Unit
from .registry import InstrumentContext, Result, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens

if TYPE_CHECKING:
    from ..index import Exemplar


Sign = Literal["+", "-"]
Kind = Literal["top", "quantile", "random"]


@dataclass(frozen=True)
class ExemplarText:
    """A context of the corpus with a unit's activation at each token.

    Attributes:
        context: its number in the index; `peak`: position where the side that was asked for is strongest.
        activations: signed, whatever side was asked for.
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
    kind: Kind
    exemplars: list[ExemplarText]

    def render(self) -> str:
        sign = -1 if self.side == "-" else 1
        signals = [
            [max(0.0, sign * value) for value in passage.activations] for passage in self.exemplars
        ]
        strongest = max(
            (signal[p.peak] for signal, p in zip(signals, self.exemplars, strict=True)), default=0.0
        )
        head = f"{self.unit}, {self.kind} exemplars of its {'negative' if sign < 0 else 'positive'} side"
        lines = [
            f"  {passage.activations[passage.peak]:+.3g} | "
            + mark_active_tokens(passage.tokens, signal, strongest, passage.peak)
            for passage, signal in zip(self.exemplars, signals, strict=True)
        ]
        return (
            "\n".join([f"{head} (9 is {strongest:.3g}):", *lines])
            if lines
            else f"{head}: none, it never fires there"
        )


@instrument("activations.exemplars", needs=("index",))
def exemplars(
    context: InstrumentContext,
    unit: UnitAddress,
    side: Annotated[
        Sign | None, Field(description="default: the address's own side, else +")
    ] = None,
    kind: Kind = "top",
    k: Annotated[int, Field(ge=1, le=50)] = 8,
) -> Exemplars:
    """Corpus contexts in which a unit fires, with its activation at each token.

    top: where it is strongest. quantile: spread over its whole range, which shows what weak and
    middling activations are about. random: contexts drawn at random, mostly quiet. Look at both
    sides: gated neurons fire negatively too.
    """

    address = Unit.parse(unit)
    if side is not None and address.side not in ("both", side):
        raise ArgumentError(f"unit {unit!r} and side {side!r} contradict each other; leave one out")
    chosen: Sign = side or ("-" if address.side == "-" else "+")
    found = context.require_index().exemplars(address.unsided, chosen, kind=kind, k=k)
    return Exemplars(str(address.unsided), chosen, kind, [_passage(exemplar) for exemplar in found])


def _passage(exemplar: Exemplar) -> ExemplarText:
    return ExemplarText(
        int(exemplar.context),
        list(exemplar.tokens),
        rounded(exemplar.activations),
        int(exemplar.peak),
    )


@dataclass(frozen=True)
class UnitStatistics(Result):
    """A unit's signed activations over explore, position 0 left out.

    Attributes:
        density: share of tokens where |activation| is above a tenth of the largest; `positive`: where it is above 0.
    """

    unit: str
    n: int
    mean: float
    std: float
    min: float
    max: float
    density: float
    positive: float
    q01: float
    q10: float
    q50: float
    q90: float
    q99: float

    def render(self) -> str:
        return (
            f"{self.unit} over {self.n:,} tokens: from {self.min:.3g} to {self.max:.3g}, mean {self.mean:.3g}, "
            f"standard deviation {self.std:.3g}; 1 % below {self.q01:.3g}, 10 % below {self.q10:.3g}, half below "
            f"{self.q50:.3g}, 10 % above {self.q90:.3g}, 1 % above {self.q99:.3g}; active (a tenth of its largest) on "
            f"{self.density:.1%} of tokens, positive on {self.positive:.1%}"
        )


@instrument("activations.statistics", needs=("index",))
def statistics(context: InstrumentContext, unit: UnitAddress) -> UnitStatistics:
    """A unit's range, mean and quantiles on the corpus, and how often it is active.

    Tells which side is the stronger one, and what counts as firing: 10 % of tokens are above q90.
    """

    address = Unit.parse(unit).unsided
    found = asdict(context.require_index().statistics(address))
    n = int(found.pop("n"))
    return UnitStatistics(str(address), n, **dict(zip(found, rounded(found.values()), strict=True)))
