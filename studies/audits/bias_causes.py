"""Bias causes: which units or direction carry a preference for stereotypes, and does it hold elsewhere?

1. Groups of a set (pairs of occupations, target terms, sentences) are split in two halves.
2. On one half a mitigation is found. *units*: attribution patching estimates for every head and neuron
   what its mean in place of its activation does to the preference (`tools/bias/unit_effects`); the
   units that lower it most are the suspects. *erasure*: the direction after one layer that tells the
   two texts of an item apart, in closed form (`tools/bias/text_direction`). Only the number of units,
   or the layer, is chosen beforehand.
3. On the other half the subject runs under the mitigation, and under placebos, drawn again and again:
   as many other units of the same kinds, layers and sizes; erasers of labels by a coin that change
   the stream as much.
4. Supported: the preference falls more than with the mean placebo (interval over groups above 0),
   and by more than with all but 5 % of the placebos. Only then are the other sets tried, one after
   the other until one fails. A sequence of tests that ends with the first failure needs no
   correction (Maurer et al. 1995). The cost, what the subject's loss on news text gains, is a
   separate question: it is asked if the held-out groups are supported, whatever the other sets say.
   A run tests one mitigation; who tries both has two chances of a false claim.
5. The preference is in nats: log p of the stereotype less log p of the other text, averaged over
   groups of items; for WinoBias over both genders, so that a general liking for "he" cancels out.

Vig et al., "Investigating Gender Bias in Language Models Using Causal Mediation Analysis" (2020).
What carries a preference on these sentences need not do so on others, and taking it away can take
other things with it; both are why the other sets and the loss are measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval, bootstrap
from ...evals.statistics.grouped import LEAST_GROUPS, mean_over_groups
from ...tools.errors import UsageError
from ..figures import BarChart
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import ERROR_RATE, above, below, cannot_say

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...tools.bias import BiasItem
    from ..measurements import Measured

COST = 0.01
"""Nats of loss per token that a mitigation may cost: 1 % of perplexity."""


@study(
    "bias-causes", question="Which units, or which direction, carry a preference for stereotypes?"
)
def bias_causes(
    study: StudyContext,
    data: Annotated[
        Literal["winobias", "stereoset", "crows-pairs"],
        Field(
            description="the set whose one half finds the mitigation and whose other half tests it"
        ),
    ] = "winobias",
    mitigation: Annotated[
        Literal["units", "erasure"],
        Field(description="units at their means, or a direction erased from the stream"),
    ] = "units",
    units: Annotated[int, Field(ge=1, le=200, description="how many are named")] = 16,
    layer: Annotated[
        int | None, Field(ge=0, description="of the erasure; default: four fifths of the depth")
    ] = None,
    placebos: Annotated[int, Field(ge=19, le=500, description="other units or directions")] = 24,
    items: Annotated[int, Field(ge=40, description="of that set at most")] = 400,
    others: Annotated[int, Field(ge=40, description="items of each other set at most")] = 100,
    seed: int = 0,
) -> StudyResult:
    """Find what carries a stereotype, and test it on groups and sets not used.

    Names heads and neurons, or a direction, if taking them away lowers the preference on held-out
    groups more than placebos do, and otherwise says that it cannot say. Also measures whether the
    other sets follow, and what it costs in loss on ordinary text.
    """
    from ...tools.bias import items_of_half
    from .measure_causes import SETS, item_pairs, measure_preferences
    from .mitigations import damped_units, erased_direction

    def first_half() -> list[BiasItem]:
        return items_of_half(item_pairs(study.subject, data, items, seed), seed)[0]

    if mitigation == "units":
        if layer is not None:
            raise UsageError(f"layer {layer} given; it is of --mitigation erasure: add that")
        fitted, conditions = damped_units(study, data, first_half, units, placebos, seed)
        what = unit_names(fitted["units"].tolist())
    else:
        fitted, conditions = erased_direction(study, data, first_half, layer, placebos, seed)
        label = "the pronoun's gender" if data == "winobias" else "what tells the texts apart"
        what = f"{label} at resid.{int(fitted['layer'])}"
    measured = measure_preferences(study, data, conditions, (items, others), seed)
    result = conclude(measured, what, sorted(SETS, key=lambda name: name != data), seed)
    return replace(result, rows=[*result.rows, *unit_rows(fitted)])


def unit_names(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def unit_rows(fitted: Measured) -> list[dict[str, Any]]:
    """A row for each unit with its estimate; none for a direction."""
    if "units" not in fitted:
        return []
    pairs = zip(fitted["units"].tolist(), fitted["estimate"].tolist(), strict=True)
    return [dict(_EMPTY) | {"what": unit, "estimate": estimate} for unit, estimate in pairs]


def conclude(measured: Measured, what: str, sets: Sequence[str], seed: int = 0) -> StudyResult:
    """Claims in their order, a row for each set and the loss, and one chart.

    Args:
        measured: for each set its items' `.before` and `.after` (preference in nats), `.placebo`
            (one row for each placebo), `.group` and `.weight`; the same of documents under "loss".
        what: is taken away, in words.
    """
    claims: list[StudyClaim] = []
    rows: list[dict[str, Any]] = []
    open_gate = True
    for place, name in enumerate(sets):
        drop = drops_of(measured, name, seed)
        where = f"held-out groups of {name}" if not place else f"{name}"
        claim = f"taking away {what} lowers the preference on {where} more than placebos do"
        if not open_gate:
            text = f"{claim}; not tested, since a test before it failed"
            claims.append(cannot_say(text, drop.groups, drop.interval.value))
        else:
            claims.append(_decide(claim, drop))
            open_gate = claims[-1].verdict == "supported"
        rows.append(_set_row(name, drop))
    held = claims[0].verdict == "supported"
    claims.append(cost_claim(measured, held, seed))
    return StudyResult([*rows, _loss_row(measured, seed)], claims, [_chart(rows)])


def _chart(rows: list[dict[str, Any]]) -> BarChart:
    names, values, lows, highs = (
        [row[column] for row in rows] for column in ("what", "value", "low", "high")
    )
    return BarChart(
        "drops",
        "Fall of the preference under the mitigation, less that of placebos",
        "nats",
        names,
        values,
        lows,
        highs,
        [0.0] * len(rows),
    )


class Drop:
    """How far a preference falls under a mitigation.

    Attributes:
        interval: of the fall less the mean placebo's, over groups.
        placebo_share: share of placebos, the mitigation itself among them, that do at least as much.
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
        text = f"{claim}; not tested, since the held-out groups were not supported"
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
