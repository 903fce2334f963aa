"""What explainers are shown and answer survives the journal, and keeps the names that it hashes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from hubel.agent.explainers.protocol import (
    Call,
    Claim,
    Experiment,
    Feedback,
    Hypothesis,
    InvestigationView,
    Move,
    Passage,
)
from hubel.agent.runlog.log import canonical
from hubel.tools.subject.address import Unit

PLANNED = Experiment(
    "e1", "h1", Passage("a cat", (2, 5)), "greater", "-", other=Passage("a dog"), bounds=(0.0, 1.5)
)
CLAIM = Hypothesis("h1", 'Fires on "cat".', 'strongly words("cat")', parent="h0")


def test_a_move_comes_back_from_the_journal_as_it_was() -> None:
    move = Move(
        (CLAIM,),
        (PLANNED,),
        ready=False,
        calls=(Call("c1", "ablate", {"unit": "mlp.0.1"}),),
        reply="key",
        look="h1",
        favourite="h1",
        settled=True,
        findings="It fires [e1].",
        claims=(Claim("3", ("e1",)),),
    )
    assert Move.from_json(json.loads(json.dumps(move.to_json()))) == move


def test_a_hypothesis_is_read_from_a_row_that_says_more() -> None:
    assert Hypothesis.from_json(vars(CLAIM) | {"round": 2, "select": 0.5}) == CLAIM


@pytest.mark.parametrize(
    ("changes", "instrument", "arguments"),
    [
        ({}, "activations.on_text", {"texts": ["a cat", "a dog"]}),
        ({"quantity": "kl"}, "ablate", {"texts": ["a cat", "a dog"], "op": "mean"}),
        ({"quantity": "rank"}, "logit_lens", {"k": 100}),
        (
            {"quantity": "logprob", "token": " x", "strength": 2.0},
            "steer",
            {"text": "a cat", "strengths": [2.0], "op": "add", "tokens": [" x"], "new_tokens": 0},
        ),
        (
            {"quantity": "logit_difference", "token": " x", "versus": " y"},
            "patch",
            {"base": "a cat", "source": "a dog", "tokens": [" x", " y"]},
        ),
    ],
)
def test_each_quantity_has_its_instrument(
    changes: dict[str, Any], instrument: str, arguments: dict[str, Any]
) -> None:
    planned = Experiment(**(vars(PLANNED) | changes))
    assert planned.call == {"instrument": instrument, "arguments": arguments}


def test_the_journal_finds_the_moves_of_earlier_runs() -> None:
    """The hash of a view names its move in the journal, so its JSON must never change."""
    view = InvestigationView(
        unit=Unit.parse("mlp.1.2-"),
        round=1,
        moves=2,
        seed=7,
        observation={"statistics": {"max": 1.5}},
        hypotheses=(CLAIM,),
        outcomes=({"experiment": "e1", "hypothesis": "h1", "outcome": "for"},),
        feedback={"h1": Feedback(0.5, ({"token": "cat"},))},
        explore=lambda: pytest.fail("explore is no part of the hash"),
    )
    digest = hashlib.sha256(canonical(view.to_json()).encode()).hexdigest()
    assert digest[:16] == "093869619e1ab1c5"
