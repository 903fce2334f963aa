"""Verdicts of a run, from the scores on holdout: a pure function of all its targets.

1. Every registered target has a p; failed and unfinished ones have p = 1. Benjamini-Hochberg at 5 %
   over all of them decides which are discoveries.
2. *kept*: the interval's lower end is at least 0.2, it is a discovery, and it beats the best
   trivial prediction (lower end of the paired difference above 0).
3. *rejected*: the interval's upper end is below 0.2, or it does not beat the trivial prediction.
4. *inconclusive*: everything else; always with fewer than 10 documents in which the unit is active
   (`statistics.sample.ActivityLevel`), without an interval, or if the explainer says that it cannot explain.

A failed or unfinished target has no verdict: a failure is never data. What kind of explanation it is,
next to the verdict, is its tier (`tier`); the verdict does not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .statistics.fdr import benjamini_hochberg
from .tier import Tier, TierScores, tier_of_kept

KEEP = 0.2
"""Held-out r below this is too little for a person to act on, however significant."""
RATE = 0.05
"""Share of the run's discoveries that may be false."""
DOCUMENTS = 10
"""With fewer active documents (near-duplicates count once) an interval is not reliable."""


@dataclass(frozen=True)
class TargetResult:
    """One registered target of a run. The numbers are from holdout, simulation on random text."""

    target: str
    status: Literal["done", "failed", "pending"] = "done"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    over_trivial: float | None = None
    """Lower end of the paired difference to the best trivial prediction."""
    trivial: str = "trivial"
    """Name of that prediction, for the reason."""
    active_documents: int = 0
    activation: str = "any activation"
    """What makes a document active, for the reason."""
    cannot_explain: bool = False
    failure: str = ""
    """Why it failed, one line."""
    tier_scores: TierScores | None = None
    """None in old runs, which have no tiers."""


@dataclass(frozen=True)
class Verdict:
    """The verdict of a target and its reason in a sentence; None if it failed or is pending."""

    target: str
    verdict: Literal["kept", "rejected", "inconclusive"] | None
    discovery: bool
    reason: str
    tier: Tier | None = None

    def to_json(self) -> dict[str, Any]:
        """A row for the run log."""
        return asdict(self)


def decide_verdicts(rows: Sequence[TargetResult]) -> list[Verdict]:
    """The verdict of every registered target, in the order of the rows.

    Args:
        rows: all registered targets of the run, with the failed and unfinished ones.
    """
    discoveries = benjamini_hochberg([_p(row) for row in rows], RATE)
    return [
        _verdict(row, bool(discovery)) for row, discovery in zip(rows, discoveries, strict=True)
    ]


def _p(row: TargetResult) -> float:
    return row.p if row.status == "done" and row.p is not None else 1.0


def _verdict(row: TargetResult, discovery: bool) -> Verdict:
    if row.status == "failed":
        reason = f"Failed, so there is no verdict: {row.failure or 'see the log'}"
        return Verdict(row.target, None, False, reason)
    if row.status == "pending":
        return Verdict(row.target, None, False, "Not finished; resume the run.")
    if reason := _undecidable(row):
        return Verdict(row.target, "inconclusive", discovery, reason)
    diffuse: Tier | None = None if row.tier_scores is None else "diffuse"
    if reason := _rejection(row):
        return Verdict(row.target, "rejected", discovery, reason, diffuse)
    if reason := _doubt(row, discovery):
        return Verdict(row.target, "inconclusive", discovery, reason, diffuse)
    reason = f"Held-out r {_interval(row)}, p {_format_p(row)}, better than {row.trivial}."
    tier = None if row.tier_scores is None else tier_of_kept(row.tier_scores)
    return Verdict(row.target, "kept", True, reason + _as_a_list(row, tier), tier)


def _as_a_list(row: TargetResult, tier: Tier | None) -> str:
    """A sentence that says that a list does as well, if it does."""
    if tier != "list" or row.value is None or row.tier_scores is None:
        return ""
    listed = row.value - row.tier_scores.over_list
    compared = "does as well" if row.tier_scores.over_list <= 0 else "does about as well"
    return f" A bare list of 24 tokens {compared} (r {listed:.2f})."


def _undecidable(row: TargetResult) -> str:
    if row.cannot_explain:
        return "The explainer says that it cannot explain this target."
    if row.value is None:
        return "There is no held-out score: the explanation predicts no activations."
    if row.active_documents < DOCUMENTS:
        return (
            f"Only {row.active_documents} held-out documents have {row.activation}; "
            f"{DOCUMENTS} are needed."
        )
    if row.low is None or row.high is None or row.over_trivial is None:
        return "The holdout is too small for an interval."
    return ""


def _rejection(row: TargetResult) -> str:
    if row.high is not None and row.high < KEEP:
        return f"Held-out r {_interval(row)} lies below {KEEP}."
    if row.over_trivial is not None and row.over_trivial <= 0:
        margin = f"difference from {row.over_trivial:+.2f}"
        return f"Held-out r {_interval(row)} is not reliably better than {row.trivial} ({margin})."
    return ""


def _doubt(row: TargetResult, discovery: bool) -> str:
    if row.low is not None and row.low < KEEP:
        return f"Held-out r {_interval(row)}: the interval reaches below {KEEP}."
    if not discovery:
        return (
            f"Held-out r {_interval(row)}, but p {_format_p(row)} "
            "is no discovery among the run's targets."
        )
    return ""


def _format_p(row: TargetResult) -> str:
    p = _p(row)
    return f"{p:.2g}" if p >= 1e-12 else "< 1e-12"  # further out a fitted tail is an extrapolation


def _interval(row: TargetResult) -> str:
    return f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
