"""Roles by rule: heads as they are known from IOI get the field's names, and predictions that can fail."""

import pytest

from hubel.agent.circuits.roles import Component, Role, RoleEvidence, adjudicate
from hubel.agent.circuits.rule_based_roles import name_roles
from hubel.evals.statistics.faithfulness import PromptInterval

METRIC = 5.0
SILENT = {
    "effect": 0.0,
    "queries": 0.0,
    "direct": 0.0,
    "copies": 0.0,
    "previous": 0.05,
    "induction": 0.0,
}
MARKS = {
    "duplicate": 0.0,
    "END>IO": 0.05,
    "END>S1": 0.05,
    "END>S2": 0.05,
    "S2>S1": 0.1,
    "S2>IO": 0.1,
}
HEADS = {
    "name mover": {"effect": -1.5, "direct": 1.2, "copies": 6.0, "END>IO": 0.7},
    "negative name mover": {"effect": 0.9, "direct": -0.8, "copies": -5.0, "END>IO": 0.6},
    "suppressor of S1": {"effect": -2.0, "direct": 1.9, "copies": -6.0, "END>S1": 0.5},
    "S-inhibition head": {"effect": -2.0, "queries": -1.0, "END>S2": 0.6},
    "carrier of S2 to END": {"effect": -2.0, "queries": -0.1, "END>S2": 0.6},
    "duplicate-token head": {"effect": -0.8, "S2>S1": 0.7},
    "previous-token head": {"effect": -0.4, "previous": 0.8},
    "induction head": {"effect": -0.6, "induction": 0.5},
    "helper": {"effect": -0.3},
}


def head(quantities: dict[str, float], *, marks: dict[str, float] = MARKS) -> Component:
    all_quantities = {**SILENT, **marks, **quantities}
    return Component(
        "C1",
        "head",
        0.5,
        {name: PromptInterval(value, value, value) for name, value in all_quantities.items()},
    )


def named(component: Component) -> Role:
    (role,) = name_roles(RoleEvidence("", METRIC, [component]))
    return role


def holds(role: Role, component: Component) -> bool:
    return all(
        adjudicate(each, component.quantities[each.quantity].value) == "for"
        for each in role.predictions
    )


@pytest.mark.parametrize("role", HEADS)
def test_the_heads_of_ioi_have_their_names(role: str) -> None:
    named_role = named(head(HEADS[role]))
    assert named_role.role == role
    assert "queries" in named_role.description or role != "S-inhibition head"


@pytest.mark.parametrize(
    "role", sorted(HEADS.keys() - {"helper"})
)  # a helper is known by its effect alone
def test_predictions_hold_of_the_head_itself_and_of_no_head_of_another_role(role: str) -> None:
    named_role = named(head(HEADS[role]))
    assert holds(named_role, head(HEADS[role]))
    others = [other for other in HEADS if other != role and holds(named_role, head(HEADS[other]))]
    assert others == []


@pytest.mark.parametrize("role", HEADS)
def test_each_prediction_can_fail(role: str) -> None:
    quantities = HEADS[role]
    named_role = named(head(quantities))
    for prediction in named_role.predictions:
        refuted = head({**quantities, prediction.quantity: -10 * quantities[prediction.quantity]})
        assert not holds(named_role, refuted)


@pytest.mark.parametrize(("second", "place"), [(0.58, "S2"), (0.3, "foil")])
def test_what_nearly_all_attention_goes_to_is_named(second: float, place: str) -> None:
    named_role = named(head({"effect": -2.0, "END>S2": second, "END>foil": 0.62}))
    assert named_role.role == f"carrier of {place} to END"


def test_without_the_marks_of_ioi_roles_are_named_after_marks() -> None:
    marks = {"duplicate": 0.0, "END>answer": 0.7, "END>changed": 0.1}
    assert (
        named(head({"effect": -1.5, "direct": 1.2, "copies": 6.0}, marks=marks)).role
        == "mover of answer"
    )
    steering = named(head({"effect": -1.5, "queries": -0.9}, marks=marks))
    assert steering.role == "steering head of answer"
