"""Name the roles of components by rules, without a language model.

The rules read what a head attends to, what it writes, and whose queries it steers:

    1. adds to the logit difference by itself    mover of the mark that it attends to from END and copies, or negative
                                                 mover of the answer that it suppresses; suppressor of another mark,
                                                 which helps the answer; reader of a mark that it does neither with;
                                                 else direct writer / opponent
    2. attends from END to a mark                steering head, if much of its effect goes through the queries of heads
                                                 that write the answer; else carrier of that mark to END
    3. attends by position or by token           previous-token, induction, duplicate-token head
    4. attends from one mark to another          link between them
    5. none of these                             helper or opponent, known by its effect alone

Marks of IOI have the names of Wang et al. 2022: name mover, negative name mover, S-inhibition and
duplicate-token head; previous-token and induction heads are those of Olsson et al. 2022,
suppressors the copy-suppression heads of McDougall et al. 2023. A prediction's bounds are half to
one and a half times what discovery prompts showed, attention at least six tenths of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...evals.statistics.faithfulness import PromptInterval
from .roles import WRITES, Component, Prediction, Role, RoleEvidence

ATTENDS = 0.2
"""Attention from which a head is said to attend there: three times what a flat pattern over 15 tokens gives."""
LINKS = 0.35
"""Attention between earlier positions from which it is said to be a head's work."""
COPIES = 1.0
"""Standard deviations over the vocabulary by which the attended token is raised."""
STEERS = 0.25
"""Share of a head's effect that goes through the queries of writers, from which it is said to steer them."""
EVERY_TASK = ("changed", "answer", "foil")
"""Marks that every task has; the others are a task's own (IO, S1, S2)."""
NEARLY = 0.85
"""Share of the largest attention that makes a mark of the task's own the one attended to: foil may be S1 and S2."""
POSITIONAL = (
    ("previous", "previous-token head", "to the token before"),
    ("induction", "induction head", "to what followed earlier copies of a token"),
    ("duplicate", "duplicate-token head", "to earlier copies of a token"),
)
INSIDE = (0.5, 1.5)
"""Bounds of a predicted effect, as multiples of the one on discovery prompts."""
KEEPS = 0.6
"""Share of the attention on discovery prompts that a prediction asks for at least."""
NAMES = {
    "mover of IO": "name mover",
    "negative mover of IO": "negative name mover",
    **{f"steering head of {mark}": "S-inhibition head" for mark in ("S1", "S2", "foil")},
    "link from S2 to S1": "duplicate-token head",
}
"""Names that the roles have where the marks are those of IOI: IO, said once, S1 and S2, the name said twice."""


def name_roles(evidence: RoleEvidence) -> list[Role]:
    """A role for every component; the rules know marks, not the task."""
    return [_role(component, abs(evidence.metric)) for component in evidence.components]


def _role(component: Component, metric: float) -> Role:
    """The role of one component, by the rules in the order of this module's list.

    Args:
        metric: absolute logit difference of the clean prompts.
    """
    writes = abs(component.quantities["direct"].value) >= WRITES * metric
    predictions = [
        _within(
            component,
            "effect",
            "patching it with the corrupted run changes the logit difference by",
        )
    ]
    if writes:
        predictions.append(
            _within(component, "direct", "by itself it adds to the logit difference")
        )
    if component.kind == "mlp":
        role, text = _mlp(component, writes)
        return _named(component, role, text, predictions)
    place, seen = _strongest(component, "END>")
    if seen.value >= ATTENDS:
        predictions.append(_attends(f"END>{place}", seen, f"attends from END to {place}"))
        reads = f"Attends from END to {place} ({seen.value:.2f})"
        return (_reader if writes else _steerer)(component, place, reads, predictions)
    if writes:
        text = f"It {_adds(component)}; its attention from END is spread out."
        return _named(component, _direct(component), text, predictions)
    return _earlier(component, predictions)


def _named(component: Component, role: str, text: str, predictions: Sequence[Prediction]) -> Role:
    """The role, under its name from the IOI paper if the task has IOI's marks."""
    attention = [name.split(">") for name in component.quantities if ">" in name]  # "END>IO"
    marks = {mark for query_and_key in attention for mark in query_and_key}
    if {"IO", "S1", "S2"} <= marks:
        role = NAMES.get(role, role)
    return Role(component.name, role, text, tuple(predictions))


def _mlp(component: Component, writes: bool) -> tuple[str, str]:
    if writes:
        return f"{_direct(component)} (MLP)", f"An MLP that {_adds(component)}."
    return f"{_indirect(component)} (MLP)", "An MLP that acts through others."


def _reader(component: Component, place: str, reads: str, predictions: list[Prediction]) -> Role:
    """Heads that attend from the last position to a mark, and write for or against the answer themselves."""
    helps = component.quantities["direct"].value > 0
    copies = component.quantities["copies"].value
    if abs(copies) < COPIES:
        return _named(
            component, f"direct reader of {place}", f"{reads} and {_adds(component)}.", predictions
        )
    least = KEEPS * copies
    if copies > 0:
        predictions.append(
            Prediction(
                "copies", least, None, f"raises the attended token by at least {least:.1f} sd"
            )
        )
        return _named(
            component,
            f"mover of {place}",
            f"{reads}, copies it and {_adds(component)}.",
            predictions,
        )
    predictions.append(
        Prediction("copies", None, least, f"lowers the attended token by at least {-least:.1f} sd")
    )
    role = f"suppressor of {place}" if helps else f"negative mover of {place}"
    return _named(component, role, f"{reads}, suppresses it and {_adds(component)}.", predictions)


def _steerer(component: Component, place: str, reads: str, predictions: list[Prediction]) -> Role:
    """Heads that pass what is at a mark to later heads at the last position."""
    effect, steered = component.quantities["effect"].value, component.quantities["queries"].value
    if steered / effect < STEERS:  # an effect of 0 gets no role
        most = STEERS / KEEPS * abs(effect)
        predictions.append(
            Prediction("queries", -most, most, f"through writers' queries at most {most:.2f}")
        )
        text = f"{reads} and hands it to later components."
        return _named(component, f"carrier of {place} to END", text, predictions)
    says = "through the queries of the heads that write the answer, patching it changes the logit difference by"
    predictions.append(_within(component, "queries", says))
    text = f"{reads} and steers the queries of the heads that write the answer: {steered:+.2f} of {effect:+.2f}."
    return _named(component, f"steering head of {place}", text, predictions)


def _earlier(component: Component, predictions: list[Prediction]) -> Role:
    """Heads that do their work before the last position."""
    for quantity, role, where in POSITIONAL:
        # A prompt without a repeated token has no duplicates.
        seen = component.quantities.get(quantity)
        if seen and seen.value >= LINKS:
            predictions.append(_attends(quantity, seen, f"attends {where}"))
            return _named(component, role, f"Attends {where} ({seen.value:.2f}).", predictions)
    links = [(name, seen) for name, seen in component.quantities.items() if _is_link(name)]
    name, seen = max(links, key=lambda link: link[1].value, default=("", PromptInterval(0, 0, 0)))
    if seen.value >= LINKS:
        query, key = name.split(">")
        predictions.append(_attends(name, seen, f"attends from {query} to {key}"))
        text = f"At {query} attends to {key} ({seen.value:.2f})."
        return _named(component, f"link from {query} to {key}", text, predictions)
    text = "Known by its effect alone: no attention pattern or direct write that a rule knows."
    return _named(component, _indirect(component), text, predictions)


def _adds(component: Component) -> str:
    return f"adds {component.quantities['direct'].value:+.2f} to the logit difference by itself"


def _direct(component: Component) -> str:
    return "direct writer" if component.quantities["direct"].value > 0 else "direct opponent"


def _indirect(component: Component) -> str:
    return "helper" if component.quantities["effect"].value < 0 else "opponent"


def _is_link(name: str) -> bool:
    return ">" in name and not name.startswith("END>") and name.split(">")[0] != name.split(">")[1]


def _strongest(component: Component, start: str) -> tuple[str, PromptInterval]:
    """The mark with the most attention from END, and that attention.

    A mark of the task's own is preferred to one of `EVERY_TASK` if it gets nearly as much: both may
    be at the same token.
    """
    attention = {
        name.removeprefix(start): seen
        for name, seen in component.quantities.items()
        if name.startswith(start)
    }
    if not attention:
        return "", PromptInterval(0, 0, 0)
    enough = NEARLY * max(seen.value for seen in attention.values())

    def rank(mark: str) -> tuple[bool, float]:
        value = attention[mark].value
        return mark not in EVERY_TASK and value >= enough, value

    best = max(attention, key=rank)
    return best, attention[best]


def _within(component: Component, quantity: str, says: str) -> Prediction:
    low, high = sorted(factor * component.quantities[quantity].value for factor in INSIDE)
    return Prediction(quantity, low, high, f"{says} {low:+.2f} to {high:+.2f}")


def _attends(quantity: str, seen: PromptInterval, says: str) -> Prediction:
    least = KEEPS * seen.value
    return Prediction(quantity, least, None, f"{says} with at least {least:.2f}")
