"""How far people's decisions agree with the keep rule, and with each other.

The last approve or reject of each person on each target counts once. Cohen's kappa is computed of
approve / reject with kept / not kept, over the targets that have a verdict, and of two people with
each other, over the targets that both decided on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import Any, TypedDict

from ...evals.statistics.kappa import cohen_kappa
from ..runlog.reviews import Reviews

DECIDED = ("kept", "rejected", "inconclusive")
"""Verdicts other than pending."""


class Agreement(TypedDict):
    """Counts and kappas; a kappa is None where it is not defined."""

    reviewed: int
    approve: int
    reject: int
    kept_and_approved: int
    kept_and_rejected: int
    notkept_and_approved: int
    notkept_and_rejected: int
    kappa: float | None
    between: dict[str, Any]
    """Of every two people: number of pairs, and kappa."""


def agreement(reviews: Reviews, verdicts: Mapping[str, str | None]) -> Agreement:
    """Compare people's decisions with the verdicts of a run, and with each other."""
    with_rule: list[tuple[bool, bool]] = []
    between_people: list[tuple[bool, bool]] = []
    decisions: Counter[str] = Counter()
    reviewed = 0
    for target, events in reviews.by_target().items():
        words = {
            str(event.data.get("name")): event.data["verdict"]
            for event in events
            if event.data.get("verdict") in ("approve", "reject")
        }
        approvals = [words[name] == "approve" for name in sorted(words)]
        reviewed += bool(words)
        decisions.update(words.values())
        if (verdict := verdicts.get(target)) in DECIDED:
            with_rule += [(approved, verdict == "kept") for approved in approvals]
        between_people += combinations(approvals, 2)
    return Agreement(
        reviewed=reviewed,
        approve=decisions["approve"],
        reject=decisions["reject"],
        kept_and_approved=with_rule.count((True, True)),
        kept_and_rejected=with_rule.count((False, True)),
        notkept_and_approved=with_rule.count((True, False)),
        notkept_and_rejected=with_rule.count((False, False)),
        kappa=cohen_kappa(with_rule),
        between={"pairs": len(between_people), "kappa": cohen_kappa(between_people)},
    )
