"""Step 1, observe: what an explainer is shown of a target before it proposes anything.

All of it comes from instruments on explore. The JSON of an observation has these keys, `+` and `-`
being sides:

    statistics              range, quantiles and density
    exemplars+, exemplars-  the contexts in which it fires most
    logit_lens              the next tokens that it promotes and suppresses (not for heads)
    middling+, middling-    contexts spread over its whole range (language models only)
    thresholds              by side, quantiles of the activation, the largest, and what counts as firing
                            (language models only)
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ..explainers.predictions import FIRING

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from ..runlog.log import Data
    from .context import InvestigationContext

TOP, QUANTILES = 8, 6
"""Exemplars of each kind that an observation holds for each side."""


def observe_unit(context: InvestigationContext, unit: Unit) -> Data:
    """What the observing instruments return for a target."""
    address = str(unit.unsided)
    statistics = context.instruments.call(unit, "activations.statistics", {"unit": address})
    observation: Data = {"statistics": statistics}
    for side in _sides(unit):
        observation["exemplars" + side] = _exemplars(context, unit, side, "top", TOP)
    if unit.site != "head":
        lens = context.instruments.call(unit, "logit_lens", {"unit": address})
        observation["logit_lens"] = lens
    return observation


def observe_for_model(context: InvestigationContext, unit: Unit) -> Data:
    """The same with what a language model needs to predict outcomes: middling contexts, thresholds."""
    observation = observe_unit(context, unit) | {"thresholds": {}}
    for side in _sides(unit):
        observation["middling" + side] = _exemplars(context, unit, side, "quantile", QUANTILES)
        thresholds = context.data.thresholds(unit, side)
        firing = {"fires": thresholds.fires(FIRING)}
        observation["thresholds"][side] = asdict(thresholds) | firing
    return observation


def _sides(unit: Unit) -> tuple[str, ...]:
    return ("+",) if unit.is_one_sided else ("+", "-")


def _exemplars(context: InvestigationContext, unit: Unit, side: str, kind: str, count: int) -> Data:
    arguments = {"unit": str(unit.unsided), "side": side, "kind": kind, "k": count}
    return context.instruments.call(unit, "activations.exemplars", arguments)
