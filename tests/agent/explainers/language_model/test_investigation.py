"""A language model in the loop: it proposes, predicts, experiments and concludes, and all of it replays."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest

from hubel.agent.llm.conversation import UNMETERED, Reply, Request
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import RunLog, canonical, read_events
from hubel.agent.runlog.transcript import traced_claims, transcript
from hubel.agent.runlog.views import target_rows
from hubel.bench.loopback import Loopback, Script
from hubel.bench.soak.forge import forge
from hubel.tools.errors import BudgetReached
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import (
    HYPOTHESES,
    ScriptedModel,
    diligent,
    is_second_look,
    reply,
    turn_of,
)


@pytest.mark.slow
def test_an_investigation_ends_in_a_verdict(run_model: RunModel) -> None:
    folder, result = run_model(
        ScriptedModel(diligent), targets=["mlp.0.0", "mlp.1.5-"], competitor=True
    )
    assert (result.done, result.failed, result.pending) == (2, 0, 0)
    for row in target_rows(folder):
        assert (row["explanation"], row["calls"]) == ('Fires on "the".', 6)
        assert (row["input_tokens"], row["cached_tokens"], row["usd"]) == (600, 360, None)
        assert row["verdict"] in ("kept", "rejected", "inconclusive")
    rival = RunLog(folder, writable=False).get("competitor", "mlp.0.0")
    rival_scores = {
        (score["split"], score["text"]): score["value"]
        for score in target_rows(folder)[0]["scores"]
        if score["scorer"] == "simulation.compositional"
    }
    assert set(rival_scores) == {
        (split, text) for split in ("select", "holdout") for text in ("random", "top_and_random")
    }
    assert rival is not None
    assert {"sentence", "predicate", "select"} <= set(rival)
    assert rival_scores["select", "random"] == pytest.approx(rival["select"])
    replayed = replay(folder)
    assert (replayed.mismatches, replayed.bitwise) == ([], True)


def test_every_prediction_is_logged_before_its_outcome(run_model: RunModel) -> None:
    folder, _ = run_model(ScriptedModel(diligent))
    order: dict[str | None, list[str]] = {}
    for event in read_events(folder):
        if event.event in ("prediction", "outcome"):
            order.setdefault(event.id, []).append(event.event)
    assert len(order) == 16
    assert set(map(tuple, order.values())) == {("prediction", "outcome")}


def test_grades_that_are_left_out_are_fitted_reported_and_replayed(run_model: RunModel) -> None:
    def ungraded(number: int, request: Request) -> Reply:
        if turn_of(request) or is_second_look(request):
            return diligent(number, request)
        bare = [
            {"sentence": h["sentence"], "predicate": h["predicate"].replace("strongly ", "")}
            for h in HYPOTHESES
        ]
        return reply(("propose", {"hypotheses": bare}))

    model = ScriptedModel(ungraded)
    folder, _ = run_model(model)
    answer = canonical(model.requests[1].to_json())
    for event in read_events(folder):
        if event.event == "hypothesis":
            assert re.search(r"; step [\d.e-]+, rest ", event.data["predicate"])
            assert re.search(rf"{event.data['id']}: taken; .*\[-?\d\.\d\d\]", answer)
    replayed = replay(folder)
    assert (replayed.mismatches, replayed.bitwise) == ([], True)


@pytest.mark.slow
def test_another_journaled_reply_gives_another_result(run_model: RunModel) -> None:
    folder, _ = run_model(ScriptedModel(diligent))
    forge(
        folder,
        lambda e: e._replace(data=_other_predicate(e.data)) if e.event == "llm_call" else e,
    )
    replayed = replay(folder)
    assert not replayed.bitwise
    assert any("predicate" in line for line in replayed.mismatches)
    assert any("value" in line for line in replayed.mismatches)


def _other_predicate(data: dict[str, Any]) -> dict[str, Any]:
    copy = json.loads(json.dumps(data))
    for call in copy["answer"]["calls"]:
        for hypothesis in call["arguments"].get("hypotheses", ()):
            hypothesis["predicate"] = hypothesis["predicate"].replace('"the"', '"dog"')
    return copy


def test_findings_are_traced_to_their_evidence(run_model: RunModel) -> None:
    folder, _ = run_model(ScriptedModel(diligent))
    traced = {c.text: c.evidence for c in traced_claims(RunLog(folder, writable=False), "mlp.0.0")}
    assert traced["the"] == ("e1",)
    assert traced["123.456"] == ()


def test_a_transcript_shows_what_was_said_and_what_it_cost(run_model: RunModel) -> None:
    folder, _ = run_model(ScriptedModel(diligent))
    lines = transcript(RunLog(folder, writable=False), "mlp.0.0")
    assert [line.speaker for line in lines if line.speaker != "program"] == [
        *["model"] * 4,
        "second look",
        "model",
    ]
    assert "You investigate U" in lines[0].text
    assert "e1 FOR h1" in lines[2].text
    assert "100 tokens in (60 cached), 20 out" in lines[1].cost


def test_a_budget_that_is_reached_leaves_the_target_pending(run_model: RunModel) -> None:
    def broke(number: int, request: Request) -> Reply:
        if number > 2:
            raise BudgetReached("the run's 2 calls are used up")
        return diligent(number, request)

    _, result = run_model(ScriptedModel(broke))
    assert (result.done, result.failed, result.pending) == (0, 0, 1)
    model = ScriptedModel(diligent)
    _, result = run_model(model)
    assert result.done == 1
    assert len(model.requests) == 4, "two replies were paid for before"


def test_a_request_as_json_is_what_dataclasses_make_of_it(run_model: RunModel) -> None:
    model = ScriptedModel(diligent)
    run_model(model)
    passing = {"waits", "logprobs", "meter"}

    def lasting(fields: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in fields if name not in passing}

    for request in model.requests:
        unmetered = asdict(replace(request, meter=UNMETERED), dict_factory=lasting)
        assert canonical(request.to_json()) == canonical(unmetered)


@pytest.mark.slow
def test_the_log_says_what_a_run_waited_for(run_model: RunModel) -> None:
    with Loopback(ScriptedModel(diligent), script=Script(delay_s=0.3)) as server:
        folder, _ = run_model(None, base_url=server.url("openai"))
    load = RunLog(folder, writable=False).get("load")
    assert load is not None
    assert load["model_seconds"] > 6 * 0.3
    assert load["subject_seconds"] > 0
    assert load["bottleneck"] in ("model", "program")
