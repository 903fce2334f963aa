"""What is seen of a target before anybody explains it: instruments on explore, and what the formula search found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ...tools.subject.address import Unit
from ..explainers.protocol import Move

if TYPE_CHECKING:
    from ..explainers.protocol import InvestigationView
    from ..runlog.log import Data
    from .context import InvestigationContext


def observe_target(room: InvestigationContext, target: str) -> None:
    """Call the observing instruments and keep what they say."""
    if (
        target in room.config.nulls and not room.explainer.converses
    ):  # such a mind looks at explore alone
        room.log.write("observation", {}, target=target)
        return
    unit = Unit.parse(target)
    seen: Data = {
        "statistics": room.instrument(target, "activations.statistics", {"unit": str(unit.unsided)})
    }
    for side in ("+",) if unit.site == "head" else ("+", "-"):
        arguments = {"unit": str(unit.unsided), "side": side, "kind": "top", "k": 8}
        seen["exemplars" + side] = room.instrument(target, "activations.exemplars", arguments)
    if unit.site != "head":
        seen["logit_lens"] = room.instrument(target, "logit_lens", {"unit": str(unit.unsided)})
    if room.explainer.converses:
        seen |= _more(room, target, unit)
    room.log.write("observation", seen, target=target)


def _more(room: InvestigationContext, target: str, unit: Unit) -> Data:
    """What a language model is shown besides: middling activations, and what counts as firing and as silent."""
    more: Data = {"thresholds": {}}
    for side in ("+",) if unit.site == "head" else ("+", "-"):
        arguments = {"unit": str(unit.unsided), "side": side, "kind": "quantile", "k": 6}
        more["middling" + side] = room.instrument(target, "activations.exemplars", arguments)
        found = room.thresholds(target, side)
        more["thresholds"][side] = [found.q50, found.q90]
    return more


def find_competitor(room: InvestigationContext, target: str, case: InvestigationView) -> None:
    """Let the formula search explain the target too, as an explanation to beat; its score is select's."""
    from ..explainers.compositional import Compositional

    rival = Compositional()
    request = {"explainer": rival.name, "version": rival.version, "competitor": True}
    found = Move.from_json(
        room.journaled("explainer_call", target, request, lambda: rival.move(case).to_json())
    )
    scored = [
        (room.score(target, "select", h.predicate)[0], h) for h in found.hypotheses if h.predicate
    ]
    if scored:
        score, best = max(scored, key=lambda pair: pair[0])
        room.log.write("competitor", asdict(best) | {"select": score}, target=target)
