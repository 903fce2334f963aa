"""What a conclusion needs, when an investigation ends without one, and what a second look sees."""

from __future__ import annotations

import pytest

from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import RunLog, canonical
from hubel.agent.runlog.views import target_rows
from hubel.bench.loopback import Loopback
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import (
    HYPOTHESES,
    ScriptedModel,
    diligent,
    experiments,
    is_second_look,
    reply,
    turn_of,
)


def refuted(number: int, request: Request) -> Reply:
    """Its second look fails every prediction; then it gives up."""
    if is_second_look(request):
        wrong = [one | {"low": 1e5} for one in experiments(None, 8, "a dog was not red")]
        return reply(("challenge", {"experiments": wrong}))
    if turn_of(request) == 0:
        planned = experiments("h1", 4) + [
            e | {"high": -1e5} for e in experiments("h1", 2, "red bank")
        ]
        return reply(
            ("propose", {"hypotheses": HYPOTHESES}), ("experiment", {"experiments": planned})
        )
    return reply(("conclude", {"hypothesis": "h1"}))


def test_a_hypothesis_that_fails_as_much_as_it_keeps_cannot_win(run_model: RunModel) -> None:
    model = ScriptedModel(refuted)
    folder, result = run_model(model)
    assert result.done == 1
    row = target_rows(folder)[0]
    assert (row["explanation"], row["verdict"]) == (None, "inconclusive")
    assert {score["scorer"] for score in row["scores"]} == {"list"}, "the floor, no explanation"
    assert (
        "kept more predictions"
        in RunLog(folder, writable=False).all("conclusion", "mlp.0.0")[None]["cannot_explain"]
    )
    assert "h1 kept 4 predictions and failed 10" in canonical(model.requests[-1].to_json())


def hasty(number: int, request: Request) -> Reply:
    """Concludes at once, without a predicted silence; learns from the answer."""
    if is_second_look(request):
        return reply(("challenge", {"experiments": experiments(None, 3, "blue year")}))
    turn = turn_of(request)
    if turn == 0:
        experiment = ("experiment", {"experiments": experiments("h1", 6)})
        return reply(("propose", {"hypotheses": HYPOTHESES[:1]}), experiment)
    if turn == 1 and "a third must" in canonical(request.to_json()):
        within = [
            one | {"low": -1e6, "high": -1e5} for one in experiments("h1", 5, "told year red")
        ]
        return reply(("experiment", {"experiments": within}))
    return reply(("conclude", {"hypothesis": "h1"}))


def test_a_third_of_all_experiments_must_have_predicted_silence(run_model: RunModel) -> None:
    model = ScriptedModel(hasty)
    folder, _ = run_model(model)
    assert target_rows(folder)[0]["explanation"] == 'Fires on "the".'
    assert len(model.requests) == 6, "one conclusion came too early"


def test_a_second_look_sees_the_claim_and_nothing_of_how_it_came_about(run_model: RunModel) -> None:
    model = ScriptedModel(diligent)
    run_model(model)
    looks = [canonical(r.to_json()) for r in model.requests if is_second_look(r)]
    assert len(looks) == 1
    assert 'Fires on \\"the\\".' in looks[0]
    assert "weekdays" not in looks[0], "a rival"
    assert "e1 FOR" not in looks[0]


def looking_first(number: int, request: Request) -> Reply:
    """Its second look calls an instrument before it makes an experiment."""
    if is_second_look(request) and turn_of(request) == 0:
        return reply(("logit_lens", {"unit": "U"}))
    return diligent(number, request)


@pytest.mark.slow
def test_a_second_look_may_look_something_up_first(run_model: RunModel) -> None:
    with Loopback(
        ScriptedModel(looking_first)
    ) as server:  # which refuses a tool call that has no result
        folder, result = run_model(None, base_url=server.url("openai"))
    replies = RunLog(folder, writable=False).all("llm_call", "mlp.0.0")
    assert (result.done, len(replies)) == (1, 7)
    assert replay(folder).bitwise


def giving_up(number: int, request: Request) -> Reply:
    """Tests something, then has no explanation."""
    if turn_of(request) == 0:
        return reply(
            ("propose", {"hypotheses": HYPOTHESES}),
            ("experiment", {"experiments": experiments("h1", 3)}),
        )
    return reply(("cannot_explain", {"reason": "nothing holds up"}))


def test_a_model_may_answer_that_it_cannot_explain(run_model: RunModel) -> None:
    folder, result = run_model(ScriptedModel(giving_up))
    assert result.done == 1
    assert target_rows(folder)[0]["verdict"] == "inconclusive"
    conclusion = RunLog(folder, writable=False).get("conclusion", "mlp.0.0")
    assert conclusion is not None
    assert conclusion["cannot_explain"] == "nothing holds up"


def revising(number: int, request: Request) -> Reply:
    """Concludes with a new hypothesis each time, none of which is better than the one before."""
    if is_second_look(request):
        words = str(len(canonical(request.to_json())))
        return reply(("challenge", {"experiments": experiments(None, 2, f"blue {words}")}))
    turn, at = turn_of(request), turn_of(request) // 2 + 1
    if turn % 2 == 0:
        word = ["the", "of", "dog", "cat", "red", "blue", "told", "said"][at % 8]
        sentence = {
            "sentence": f"Fires on {word}.",
            "predicate": f'strongly words("zzz", "{word}{word}")',
        }
        planned = experiments(f"h{at}", 4, word) + [
            e | {"high": -1e5} for e in experiments(f"h{at}", 3, f"{word} {word}")
        ]
        return reply(
            ("propose", {"hypotheses": [sentence]}), ("experiment", {"experiments": planned})
        )
    return reply(("conclude", {"hypothesis": f"h{at}"}))


def test_an_investigation_ends_after_two_rounds_without_progress(run_model: RunModel) -> None:
    model = ScriptedModel(revising)
    _, result = run_model(model, rounds=8)
    assert result.done == 1
    assert sum(is_second_look(r) for r in model.requests) == 3
