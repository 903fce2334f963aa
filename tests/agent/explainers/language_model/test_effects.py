"""Predictions of what a unit causes: a next token under steering, a logit difference under patching."""

from __future__ import annotations

from typing import Any

import pytest

from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.runlog.views import connect
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.patch import Patching
from hubel.tools.instruments.steer import Steering
from hubel.tools.subject.subject import Subject
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import HYPOTHESES, ScriptedModel, reply, turn_of

TEXT, OTHER = "Monday the cat said very", "Tuesday the dog said very"
PUSHED = {"text": TEXT, "quantity": "logprob", "token": " cat", "strength": 3.0}
PATCHED = {
    "text": TEXT,
    "quantity": "logit_difference",
    "token": " cat",
    "versus": " dog",
    "than": OTHER,
}
WITHIN = {"predicts": "within", "low": -100, "high": 100}


def effects(number: int, request: Request) -> Reply:
    """Predicts each sign of each effect, and one within bounds; one token is several."""
    if turn_of(request):
        return reply(("cannot_explain", {"reason": "enough was seen"}))
    signs = [one | {"predicts": sign} for one in (PUSHED, PATCHED) for sign in ("raises", "lowers")]
    planned = [
        *signs,
        PUSHED | WITHIN,
        PATCHED | WITHIN,
        PUSHED | WITHIN | {"token": "the cat sat"},
    ]
    challenges = [one | {"hypothesis": "h1"} for one in planned]
    return reply(
        ("propose", {"hypotheses": HYPOTHESES}), ("experiment", {"experiments": challenges})
    )


def measured(subject: Subject) -> tuple[float, float]:
    """The two effects by the instruments themselves."""
    bench = InstrumentContext(subject)
    push: dict[str, Any] = {
        "text": TEXT,
        "strengths": [3.0],
        "op": "add",
        "tokens": [" cat"],
        "new_tokens": 0,
    }
    steering = call("steer", push | {"unit": "mlp.0.0"}, bench)
    put = {"units": ["mlp.0.0"], "base": TEXT, "source": OTHER, "tokens": [" cat", " dog"]}
    patching = call("patch", put, bench)
    assert isinstance(steering, Steering)
    assert isinstance(patching, Patching)
    assert patching.logit_difference
    difference = patching.logit_difference
    return steering.strengths[0].log_ratios[0], difference.patched - difference.base


def test_signs_and_sizes_of_effects_are_adjudicated_by_the_program(
    run_model: RunModel, tiny: Subject
) -> None:
    model = ScriptedModel(effects)
    folder, _ = run_model(model)
    with connect(folder) as db:
        rows = db.execute("select id, observed, outcome from experiments order by seq").fetchall()
    steered, patched = measured(tiny)
    expected = [steered] * 2 + [patched] * 2 + [steered, patched]
    assert [observed for _, observed, _ in rows[:6]] == pytest.approx(expected, rel=1e-6)
    signs = [(value > 0) == (i % 2 == 0) for i, value in enumerate(expected[:4])]
    assert [outcome for _, _, outcome in rows] == [
        *("for" if holds else "against" for holds in signs),
        *("for", "for"),
        "void",
    ]
    request = str(model.requests[-1].to_json())
    assert "e1" in request
    assert "change of its log-probability, nats" in request
    assert "tokens here" in request, "a token that is several comes back with its pieces"
