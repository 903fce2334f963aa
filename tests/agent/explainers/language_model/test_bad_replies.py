"""Replies that cannot be used, as a whole or in part."""

from __future__ import annotations

import pytest

from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import RunLog, canonical
from hubel.agent.runlog.views import target_rows
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import (
    HYPOTHESES,
    ScriptedModel,
    diligent,
    experiments,
    is_second_look,
    reply,
    silent,
    turn_of,
)

MALFORMED = {
    "empty": Reply(stop="end"),
    "refused": Reply(text="I cannot help with that.", stop="refused"),
    "length": reply(("propose", {"hypotheses": HYPOTHESES}), stop="length"),
    "unknown tool": reply(("run_shell", {"command": "ls"})),
    "bad json": Reply.from_json(
        reply().to_json()
        | {
            "calls": [
                {"id": "c0", "name": "propose", "arguments": None, "raw": '{"hypotheses": [{"sent'}
            ]
        }
    ),
    "huge": reply(text="word " * 20_000),
    "wrong types": reply(
        ("propose", {"hypotheses": 7}), ("experiment", {"experiments": [{"text": 3}]})
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["empty", "refused", "length", "unknown tool", "bad json", "huge", "wrong types"]
)
def test_replies_that_cannot_be_used_end_in_a_failure_that_can_be_tried_again(
    run_model: RunModel, kind: str
) -> None:
    folder, result = run_model(ScriptedModel(lambda number, request: MALFORMED[kind]))
    assert (result.done, result.failed) == (0, 1)
    row = target_rows(folder)[0]
    assert (row["status"], row["explanation"], row["scores"], row["calls"]) == (
        "failed",
        None,
        [],
        3,
    )
    assert "last 3 replies could not be used" in (row["error"] or "")
    model = ScriptedModel(diligent)
    _, result = run_model(model)
    assert result.done == 1
    assert replay(folder).bitwise


def test_a_reply_half_usable_is_half_used(run_model: RunModel) -> None:
    def mixed(number: int, request: Request) -> Reply:
        if turn_of(request) == 0 and not is_second_look(request):
            bad = [
                {"sentence": "x", "predicate": "loudly words('the')"},
                {"sentence": "word " * 41},
            ]
            return reply(
                ("propose", {"hypotheses": [*HYPOTHESES, *bad]}),
                (
                    "experiment",
                    {"experiments": [*experiments("h1", 6), *silent("h9", 1), *silent("h1", 3)]},
                ),
            )
        return diligent(number, request)

    model = ScriptedModel(mixed)
    folder, result = run_model(model)
    assert result.done == 1
    answer = canonical(model.requests[1].to_json())
    assert "h3: taken, in words only" in answer  # its formula cannot be read, what it says can
    assert "the sentence has 41 words" in answer
    assert "experiment 7 of this call is not made and counts for nothing" in answer
    assert len(RunLog(folder, writable=False).all("hypothesis", "mlp.0.0")) == 3
