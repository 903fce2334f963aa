"""What a revision takes over, what its writer is shown of its parts, and what is logged of its words."""

from __future__ import annotations

import pytest

from hubel.agent.explainers.predictions import FIRING
from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.run.provisional import provisional_line
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import RunLog, canonical
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import ScriptedModel, is_second_look, reply, turn_of

TEXTS = ("a dog said the", "a cat of the", "the red river", "a dog told a cat")


def planned(hypothesis: str | None, focus: str, predicts: str, text: str) -> dict[str, object]:
    plan: dict[str, object] = {"text": text, "focus": focus, "predicts": predicts}
    return plan | ({"hypothesis": hypothesis} if hypothesis else {})


def revising(number: int, request: Request) -> Reply:
    """Tests "the" and "dog", then revises so that "dog" is no longer a part of it."""
    if is_second_look(request):
        quiet = {"predicts": "within", "low": -1e6, "high": 1e6, "text": "a year of a cat"}
        return reply(("challenge", {"experiments": [quiet]}))
    turn = turn_of(request)
    if turn == 0:
        first = {"gist": "the article, and dogs", "predicate": 'strongly words("the", "dog")'}
        tests = [
            planned("h1", "the", "fires", TEXTS[0]),
            planned("h1", "dog", "fires", TEXTS[0]),
            planned("h1", "cat", "silent", TEXTS[1]),
            planned("h1", "dog", "silent", TEXTS[3]),
        ]
        return reply(("propose", {"hypotheses": [first]}), ("experiment", {"experiments": tests}))
    if turn == 1:
        revision = {"gist": "the article", "predicate": 'strongly words("the")', "revises": "h1"}
        bounds = {"predicts": "within", "low": -1e6, "high": 1e6}
        sure = [planned("h2", "red", "within", f"the red {n} river") | bounds for n in range(6)]
        low = [one | {"high": -1e5, "text": f"{one['text']} bank"} for one in sure[:3]]
        return reply(
            ("propose", {"hypotheses": [revision]}), ("experiment", {"experiments": sure + low})
        )
    return reply(("conclude", {"hypothesis": "h2", "findings": "It is the article [e1]."}))


@pytest.fixture
def run(run_model: RunModel) -> tuple[RunLog, ScriptedModel]:
    model = ScriptedModel(revising)
    folder, result = run_model(model)
    assert result.done == 1
    replayed = replay(folder)
    assert (replayed.mismatches, replayed.bitwise) == ([], True)
    return RunLog(folder, writable=False), model


def test_a_revision_inherits_the_experiments_that_follow_and_says_which_do_not(
    run: tuple[RunLog, ScriptedModel],
) -> None:
    log, model = run
    row = log.get("hypothesis", "mlp.0.0", "h2")
    assert row is not None
    # "the" fires, "cat" and the second "dog" are quiet under both; the first "dog" no longer fires
    assert row["inherited"] == ["e1", "e3", "e4"]
    sent = canonical(model.requests[-1].to_json())
    assert "h2 inherits 3 of 4 experiments of h1" in canonical(model.requests[2].to_json())
    assert "does not follow from it: e2" in canonical(model.requests[2].to_json())
    outcomes = log.all("outcome", "mlp.0.0")
    kept = [outcomes[id]["outcome"] for id in ("e1", "e3", "e4")]
    own = [r["outcome"] for r in outcomes.values() if r["hypothesis"] == "h2"]
    tally = f"h2 {(kept + own).count('for')} for {(kept + own).count('against')} against"
    assert tally in sent


def test_a_model_sees_the_scores_of_the_parts_on_select_and_its_words_are_logged(
    run: tuple[RunLog, ScriptedModel],
) -> None:
    log, model = run
    feedback = log.get("feedback", "mlp.0.0", "h2")
    assert feedback is not None
    assert set(feedback["parts"]) == {"meaning", "headline", "coverage", "unseen", "list"}
    assert feedback["parts"]["meaning"] == 0.0, "it only lists words"
    sent = canonical(model.requests[-1].to_json())
    assert "named concepts alone 0.00" in sent
    assert "a bare list of 24 tokens" in sent
    row = log.get("hypothesis", "mlp.0.0", "h2")
    assert row is not None
    assert row["gist"] == "the article"
    assert row["sentence"].startswith("Fires on")
    look = next(r for r in model.requests if is_second_look(r))
    assert "The claim: the article" in canonical(look.to_json())
    assert "provisional, held-out r" in provisional_line(log, "mlp.0.0")


def test_fires_means_a_share_of_the_range_and_the_prediction_says_so(
    run: tuple[RunLog, ScriptedModel],
) -> None:
    log, model = run
    observation = log.get("observation", "mlp.0.0")
    prediction, outcome = (
        log.get("prediction", "mlp.0.0", "e1"),
        log.get("outcome", "mlp.0.0", "e1"),
    )
    assert observation is not None
    assert prediction is not None
    assert outcome is not None
    scale = observation["thresholds"]["+"]
    expected = max(scale["q90"], scale["q50"] + FIRING * (scale["q999"] - scale["q50"]))
    assert prediction["level"] == FIRING
    assert outcome["compared"] == pytest.approx(expected)
    opening = canonical(model.requests[0].to_json())
    assert f"largest {scale['largest']:.3g}. fires means at least {expected:.3g}" in opening
