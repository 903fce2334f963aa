"""The attribute instrument: what it says, what it withholds, and what it asks to be repaired."""

from __future__ import annotations

from typing import Any

import pytest

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.attribute import AttributedText
from tests.support.tiny import tiny_subject

TEXT, TWIN = "the cat said 1999 in the city on Monday", "the dog told year in the river on Friday"


@pytest.fixture(scope="module")
def context() -> InstrumentContext:
    return InstrumentContext(tiny_subject())


def attributed(context: InstrumentContext, **arguments: Any) -> AttributedText:
    result = call("attribute", {"text": TEXT, "counterfactual": TWIN, **arguments}, context)
    assert isinstance(result, AttributedText)
    return result


def test_credit_adds_up_and_is_shown_with_both_tokens(context: InstrumentContext) -> None:
    attribution = attributed(context, answer=" cat", foil=" dog")
    assert attribution.verdict == "converged"
    assert attribution.scores is not None
    assert attribution.reference is not None
    assert abs(sum(attribution.scores) - (attribution.value - attribution.reference)) < 0.011 * abs(
        attribution.value - attribution.reference
    )
    assert len(attribution.scores) == len(attribution.tokens) == 9
    assert '(instead of " Friday")' in attribution.render()
    assert attribution.render().startswith(
        'logit of " cat" - logit of " dog" after " Monday" (token 8) ='
    )


def test_a_units_activation_and_its_checks(context: InstrumentContext) -> None:
    attribution = attributed(context, unit="mlp.1.5-", position=6, method="occlusion", check=True)
    assert attribution.verdict == "exact"
    assert attribution.curves is not None
    assert attribution.curves.n_moved == 4
    assert set(attribution.randomised or {}) == {"0.25", "0.5", "1"}
    assert "random orders of 4 tokens" in attribution.render()


def test_scores_that_have_not_converged_are_withheld(
    context: InstrumentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubel.tools.attribution.integrated.POINTS", 1)  # too coarse a rule
    attribution = attributed(context, answer=" cat", baseline="zero", check=True)
    assert attribution.verdict == "not_converged"
    assert attribution.scores is None
    assert attribution.curves is None
    assert "no evidence" in attribution.render()
    assert " cat" not in attribution.render().partition("\n")[2]


@pytest.mark.parametrize("method", ["gradient", "relevance"])
def test_what_looks_at_the_text_alone_needs_no_counterfactual(
    context: InstrumentContext, method: str
) -> None:
    alone = attributed(context, answer=" cat", method=method, counterfactual=None)
    beside = attributed(context, answer=" cat", method=method, check=True)
    assert alone.counterfactual is None
    assert alone.scores == beside.scores
    assert "instead of" not in beside.render()
    with pytest.raises(ArgumentError, match="none was given"):  # curves go to a counterfactual
        attributed(context, answer=" cat", method=method, counterfactual=None, check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give unit or answer"),
        ({"unit": "mlp.1.5", "answer": " cat"}, "give unit or answer"),
        ({"unit": "mlp.1.5", "foil": " cat"}, "give unit or answer"),
        ({"answer": " cat dog"}, "2 tokens"),
        ({"answer": " cat", "counterfactual": "the dog"}, "one of 2 was given"),
        ({"answer": " cat", "counterfactual": None}, "none was given"),
        ({"answer": " cat", "counterfactual": TEXT}, "are the same"),
        ({"unit": "mlp.9.5"}, "layer"),
        ({"unit": "mlp.1.5", "position": 40}, "tokens 0 to 8"),
        ({"unit": "mlp.1.5", "method": "guess"}, "integrated_gradients"),
    ],
)
def test_invalid_attributions_are_refused_with_a_hint(
    context: InstrumentContext, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        attributed(context, **arguments)
