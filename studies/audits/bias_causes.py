"""Bias causes: which units carry a preference for stereotypes, and does it hold elsewhere?

1. Groups of a set (pairs of occupations, target terms, sentences) are split in two halves.
2. On one half, attribution patching estimates for every head and neuron what its mean in place of
   its activation does to the preference (`tools/bias/unit_effects`). The units that lower it most
   are the suspects; only their number is chosen beforehand.
3. On the other half the subject runs with all suspects at their means, and with placebos: as many
   other units of the same kinds, layers and sizes, drawn again and again.
4. Supported: the preference falls more than with the mean placebo (interval over groups above 0),
   and by more than with all but 5 % of the placebos. Only then are the other sets tried, one after
   the other until one fails. A sequence of tests that ends with the first failure needs no
   correction (Maurer et al. 1995). The cost, what the subject's loss on news text gains, is a
   separate question: it is asked if the held-out groups are supported, whatever the other sets say.
5. The preference is in nats: log p of the stereotype less log p of the other text, averaged over
   groups of items; for WinoBias over both genders, so that a general liking for "he" cancels out.

Vig et al., "Investigating Gender Bias in Language Models Using Causal Mediation Analysis" (2020).
A unit that carries a preference on these sentences need not do so on others, and taking it away can
take other things with it; both are why the other sets and the loss are measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval, bootstrap
from ...evals.statistics.grouped import LEAST_GROUPS, mean_over_groups
from ..figures import BarChart
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import ERROR_RATE, above, below, cannot_say

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..measurements import Measured

COST = 0.01
"""Nats of loss per token that a mitigation may cost: 1 % of perplexity."""


@study("bias-causes", question="Which units carry a preference for stereotypes?")
def bias_causes(
    study: StudyContext,
    data: Annotated[
        Literal["winobias", "stereoset", "crows-pairs"],
        Field(description="the set whose one half names the units and whose other half tests them"),
    ] = "winobias",
    units: Annotated[int, Field(ge=1, le=200, description="how many are named")] = 16,
    placebos: Annotated[int, Field(ge=19, le=500, description="sets of other units")] = 24,
    items: Annotated[int, Field(ge=40, description="of that set at most")] = 400,
    others: Annotated[int, Field(ge=40, description="items of each other set at most")] = 100,
    seed: int = 0,
) -> StudyResult:
    """Find heads and neurons that carry a stereotype, and test them on groups and sets not used.

    Names the units if putting them at their means lowers the preference on held-out groups more than
    placebo units do, and otherwise says that it cannot say. Also measures whether the other sets
    follow, and what it costs in loss on ordinary text.
    """
    from .measure_causes import SETS, measure_causes

    measured = measure_causes(study, data, units, placebos, (items, others), seed)
    sets = sorted(SETS, key=lambda name: name != data)
    return conclude(measured, sets, seed)


def conclude(measured: Measured, sets: Sequence[str], seed: int = 0) -> StudyResult:
    """Claims in their order, a row for each unit and each set, and one chart.

    Args:
        measured: for each set its items' `.before` and `.after` (preference in nats), `.placebo`
            (one row for each placebo), `.group` and `.weight`; the same of documents under "loss";
            the units' names and estimates.
    """
    claims: list[StudyClaim] = []
    rows: list[dict[str, Any]] = []
    open_gate, names = True, [str(name) for name in measured["units"]]
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    for place, name in enumerate(sets):
        drop = drops_of(measured, name, seed)
        where = f"held-out groups of {name}" if not place else f"{name}"
        claim = f"taking away {shown} lowers the preference on {where} more than placebos do"
        if not open_gate:
            text = f"{claim}; not tested, since a test before it failed"
            claims.append(cannot_say(text, drop.groups, drop.interval.value))
        else:
            claims.append(_decide(claim, drop))
            open_gate = claims[-1].verdict == "supported"
        rows.append(_set_row(name, drop))
    held = claims[0].verdict == "supported"
    claims.append(cost_claim(measured, held, seed))
    for unit, estimate in zip(names, measured["estimate"].tolist(), strict=True):
        rows.append(dict(_EMPTY) | {"what": unit, "estimate": estimate})
    rows.append(_loss_row(measured, seed))
    return StudyResult(rows, claims, [_chart([row for row in rows if row["what"] in sets])])


def _chart(rows: list[dict[str, Any]]) -> BarChart:
    names, values, lows, highs = (
        [row[column] for row in rows] for column in ("what", "value", "low", "high")
    )
    return BarChart(
        "drops",
        "Fall of the preference with the units at their means, less that of placebos",
        "nats",
        names,
        values,
        lows,
        highs,
        [0.0] * len(rows),
    )


class Drop:
    """How far a preference falls with the units at their means.

    Attributes:
        interval: of the fall less the mean placebo's, over groups.
        placebo_share: share of placebos, the units themselves among them, that do at least as much.
    """

    def __init__(
        self,
        before: float,
        after: float,
        placebo: Float[np.ndarray, " placebo"],
        interval: Interval,
        groups: int,
    ) -> None:
        self.before, self.after, self.placebo = before, after, placebo
        self.interval, self.groups = interval, groups
        at_least = int((placebo >= before - after).sum())
        self.placebo_share = (1 + at_least) / (1 + len(placebo))


def drops_of(measured: Measured, name: str, seed: int) -> Drop:
    """The fall on one set, with its interval over groups."""
    before, after = measured[f"{name}.before"], measured[f"{name}.after"]
    placebo, weight = measured[f"{name}.placebo"], measured[f"{name}.weight"]
    share = weight / weight.sum()
    _, group = np.unique(measured[f"{name}.group"], return_inverse=True)
    excess = (before - after) - (before - placebo).mean(axis=0)
    sums = np.stack([np.bincount(group, share * excess), np.bincount(group, share)], axis=1)
    interval = Interval(float((share * excess).sum()), None, None)
    if len(sums) >= LEAST_GROUPS:
        interval = bootstrap(sums, lambda total: total[..., 0] / total[..., 1], seed)
    falls = ((before - placebo) * share).sum(axis=1)
    return Drop(
        float((before * share).sum()), float((after * share).sum()), falls, interval, len(sums)
    )


def _decide(claim: str, drop: Drop) -> StudyClaim:
    if drop.interval.low is None:
        text = f"{claim}; {drop.groups} groups, an interval needs {LEAST_GROUPS}"
        return cannot_say(text, drop.groups, drop.interval.value)
    decided = above(claim, drop.interval, 0.0, drop.groups)
    if decided.verdict == "supported" and drop.placebo_share > ERROR_RATE:
        text = f"{claim}; {drop.placebo_share:.0%} of placebos do as much"
        return cannot_say(text, drop.groups, drop.interval.value)
    return decided


def cost_claim(measured: Measured, held: bool, seed: int) -> StudyClaim:
    """That the mitigation costs little; a question only where there is a mitigation."""
    claim = f"it costs less than {COST:g} nats of loss per token on news text"
    rise = measured["loss.after"] - measured["loss.before"]
    if not held:
        text = f"{claim}; not tested, since the units were not supported"
        return cannot_say(text, len(rise), float(rise.mean()))
    interval = mean_over_groups(rise, seed=seed)
    return below(claim, interval, COST, len(rise))


_EMPTY: Mapping[str, Any] = {
    "what": "",
    "before": None,
    "after": None,
    "value": None,
    "low": None,
    "high": None,
    "placebo": None,
    "largest_placebo": None,
    "placebo_share": None,
    "estimate": None,
    "n": None,
}


def _set_row(name: str, drop: Drop) -> dict[str, Any]:
    value, low, high = drop.interval
    return dict(_EMPTY) | {
        "what": name,
        "before": drop.before,
        "after": drop.after,
        "value": value,
        "low": low,
        "high": high,
        "placebo": float(drop.placebo.mean()),
        "largest_placebo": float(drop.placebo.max()),
        "placebo_share": drop.placebo_share,
        "n": drop.groups,
    }


def _loss_row(measured: Measured, seed: int) -> dict[str, Any]:
    before, after, placebo = (measured[f"loss.{name}"] for name in ("before", "after", "placebo"))
    value, low, high = mean_over_groups(after - before, seed=seed)
    rises = (placebo - before).mean(axis=1)
    return dict(_EMPTY) | {
        "what": "loss",
        "before": float(before.mean()),
        "after": float(after.mean()),
        "value": value,
        "low": low,
        "high": high,
        "placebo": float(rises.mean()),
        "largest_placebo": float(rises.max()),
        "n": len(before),
    }
