"""Roles by rule, without a language model: from what a head looks at, whether it copies, and what it writes.

    1. adds to the logit difference by itself:  mover / negative mover of a mark that it attends to from END and copies,
                                                 reader of one that it does not copy, else direct writer / opponent
    2. attends from END to a mark:               carrier of that mark to END, for later components
    3. attends from one mark to another:         link between them
    4. attends by position or by token:          previous-token, induction, duplicate-token head
    5. none of these:                            helper or opponent, known by its effect alone

The names are those of Wang et al. 2023 (IOI) and Olsson et al. 2022 made general. A prediction's bounds are half to one
and a half times what discovery prompts showed, attention at least six tenths of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from .roles import Component, Prediction, Role, Seen

DIRECT = 0.04
"""Share of the logit difference from which what a component adds by itself counts."""
ATTENDS = 0.2
"""Attention from which a head is said to attend there: three times what a flat pattern over 15 tokens gives."""
LINKS = 0.35
COPIES = 1.0
"""Standard deviations over the vocabulary by which the attended token is raised."""
POSITIONAL = (
    ("previous", "previous-token head"),
    ("induction", "induction head"),
    ("duplicate", "duplicate-token head"),
)
INSIDE = (0.5, 1.5)
KEEPS = 0.6


def name_roles(task: str, metric: float, components: Sequence[Component]) -> list[Role]:
    """A role for every component."""
    del task  # the rules know marks, not stories
    return [_role(component, abs(metric)) for component in components]


def _role(component: Component, metric: float) -> Role:
    direct = component.quantities["direct"]
    effect = component.quantities["effect"]
    predictions = [_within("effect", effect, "patching it with the corrupted run changes the logit difference by")]
    if component.kind == "mlp":
        return _mlp(component, metric, predictions)
    place, seen = _strongest(component, "END>")
    if abs(direct.value) >= DIRECT * metric:
        predictions.append(_within("direct", direct, "by itself it adds to the logit difference"))
        return _writer(component, place, seen, predictions)
    if seen.value >= ATTENDS:
        predictions.append(_attends(f"END>{place}", seen, f"attends from END to {place}"))
        text = f"Attends from END to {place} ({seen.value:.2f}) and hands it to later components."
        return Role(component.name, f"carrier of {place} to END", text, tuple(predictions))
    return _earlier(component, predictions)


def _mlp(component: Component, metric: float, predictions: list[Prediction]) -> Role:
    direct = component.quantities["direct"]
    if abs(direct.value) >= DIRECT * metric:
        predictions.append(_within("direct", direct, "by itself it adds to the logit difference"))
        role = "direct writer" if direct.value > 0 else "direct opponent"
        text = f"An MLP that adds {direct.value:+.2f} to the logit difference by itself."
        return Role(component.name, f"{role} (MLP)", text, tuple(predictions))
    return Role(component.name, _indirect(component) + " (MLP)", "An MLP that acts through others.", tuple(predictions))


def _writer(component: Component, place: str, seen: Seen, predictions: list[Prediction]) -> Role:
    direct, copies = component.quantities["direct"].value, component.quantities["copies"]
    if seen.value < ATTENDS:
        role = "direct writer" if direct > 0 else "direct opponent"
        text = f"Adds {direct:+.2f} to the logit difference by itself; its attention from END is spread out."
        return Role(component.name, role, text, tuple(predictions))
    predictions.append(_attends(f"END>{place}", seen, f"attends from END to {place}"))
    reads = f"Attends from END to {place} ({seen.value:.2f})"
    adds = f"adds {direct:+.2f} to the logit difference by itself"
    if abs(copies.value) < COPIES:
        return Role(component.name, f"direct reader of {place}", f"{reads} and {adds}.", tuple(predictions))
    if copies.value > 0:
        bound = Prediction(
            "copies", KEEPS * copies.value, None, f"raises the attended token by {KEEPS * copies.value:.1f} sd"
        )
        role, does = f"mover of {place}", "copies it"
    else:
        bound = Prediction(
            "copies", None, KEEPS * copies.value, f"lowers the attended token by {-KEEPS * copies.value:.1f} sd"
        )
        role, does = f"negative mover of {place}", "suppresses it"
    return Role(component.name, role, f"{reads}, {does} and {adds}.", (*predictions, bound))


def _earlier(component: Component, predictions: list[Prediction]) -> Role:
    """Heads that do their work before the last position."""
    for quantity, role in POSITIONAL:
        seen = component.quantities[quantity]
        if seen.value >= LINKS:
            predictions.append(_attends(quantity, seen, f"{quantity} attention"))
            return Role(component.name, role, f"A {role} ({seen.value:.2f}).", tuple(predictions))
    links = [(name, seen) for name, seen in component.quantities.items() if _is_link(name)]
    name, seen = max(links, key=lambda link: link[1].value, default=("", Seen(0, 0, 0)))
    if seen.value >= LINKS:
        query, key = name.split(">")
        predictions.append(_attends(name, seen, f"attends from {query} to {key}"))
        text = f"At {query} attends to {key} ({seen.value:.2f})."
        return Role(component.name, f"link from {query} to {key}", text, tuple(predictions))
    text = "Known by its effect alone: no attention pattern or direct write that a rule knows."
    return Role(component.name, _indirect(component), text, tuple(predictions))


def _indirect(component: Component) -> str:
    return "helper" if component.quantities["effect"].value < 0 else "opponent"


def _is_link(name: str) -> bool:
    return ">" in name and not name.startswith("END>") and name.split(">")[0] != name.split(">")[1]


def _strongest(component: Component, start: str) -> tuple[str, Seen]:
    """The mark that gets most attention from END; `changed` is a mark of last resort."""
    found = {name.removeprefix(start): seen for name, seen in component.quantities.items() if name.startswith(start)}
    if not found:
        return "", Seen(0, 0, 0)
    best = max(found, key=lambda name: (round(found[name].value, 2), name not in ("changed", "answer", "foil")))
    return best, found[best]


def _within(quantity: str, seen: Seen, says: str) -> Prediction:
    low, high = sorted(factor * seen.value for factor in INSIDE)
    return Prediction(quantity, low, high, f"{says} {low:+.2f} to {high:+.2f}")


def _attends(quantity: str, seen: Seen, says: str) -> Prediction:
    least = KEEPS * seen.value
    return Prediction(quantity, least, None, f"{says} with at least {least:.2f}")
