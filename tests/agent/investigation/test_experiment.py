"""Experiments: predictions come first, one unreadable text voids one experiment, code compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubel.agent.explainers.protocol import Experiment, Passage
from hubel.agent.investigation.experiment import read_for_model, read_plainly, run_experiments
from hubel.agent.runlog.log import read_events
from hubel.tools.subject.address import Unit
from tests.support.made_investigation import RecordingDesk, made_context

UNIT = Unit.parse("mlp.0.0")
UNREADABLE = "unreadable"


def fires(id: str, text: str, **fields: Any) -> Experiment:
    relation: dict[str, Any] = {"relation": "fires"}
    return Experiment(id, "h1", Passage(text), **(relation | fields))


def row_of(text: str) -> dict[str, Any]:
    """Two tokens; the second has an activation of 3 if the text speaks of Monday."""
    values = [0.0, 3.0 if "Monday" in text else 0.0]
    return {
        "tokens": ["<s>", text],
        "offsets": [[0, 0], [0, len(text)]],
        "activations": {"mlp.0.0": values},
    }


def on_text(arguments: dict[str, Any]) -> dict[str, Any]:
    if UNREADABLE in arguments["texts"]:
        return {"result": None, "text": "text too long", "error": True}
    rows = [row_of(text) for text in arguments["texts"]]
    return {"result": {"texts": rows}, "text": "", "error": False}


def outcomes(folder: Path, experiments: list[Experiment], **answers: Any) -> dict[str, Any]:
    context: Any = made_context(folder)
    context.instruments = RecordingDesk(activations__on_text=on_text, **answers)
    run_experiments(context, UNIT, experiments, read_for_model)
    return context.log.all("outcome", str(UNIT))


def test_all_predictions_are_logged_before_any_outcome(tmp_path: Path) -> None:
    rows = outcomes(tmp_path, [fires("e1", "on Monday"), fires("e2", "on a cat")])
    events = [(event.event, event.id) for event in read_events(tmp_path)]
    assert events == [
        ("prediction", "e1"),
        ("prediction", "e2"),
        ("outcome", "e1"),
        ("outcome", "e2"),
    ]
    assert [row["outcome"] for row in rows.values()] == ["for", "against"]
    assert rows["e1"]["seen"].startswith('activations "on Monday" +3')


def test_a_text_that_cannot_be_read_voids_its_own_experiment_only(tmp_path: Path) -> None:
    planned = [fires("e1", "on Monday"), fires("e2", UNREADABLE), fires("e3", "on Monday 2")]
    rows = outcomes(tmp_path, planned)
    assert [row["outcome"] for row in rows.values()] == ["for", "void", "for"]
    assert rows["e2"]["seen"] == "text too long"


MEASURED = {
    "kl": ({"texts": [{"kl": [9.0, 0.5]}, {"kl": [0.1, 0.2]}]}, 0.5),
    "rank": ({"promoted": {"tokens": [" a", " Monday"]}, "suppressed": {"tokens": []}}, 2.0),
    "logprob": ({"strengths": [{"log_ratios": [-0.25]}]}, -0.25),
    "logit_difference": (
        {"logit_difference": {"base": 1.0, "source": 3.0, "patched": 1.5}},
        0.5,
    ),
}


@pytest.mark.parametrize(
    ("quantity", "instrument"),
    [("kl", "ablate"), ("rank", "logit_lens"), ("logprob", "steer"), ("logit_difference", "patch")],
)
def test_other_quantities_are_measured_by_their_instruments(
    tmp_path: Path, quantity: Any, instrument: str
) -> None:
    result, observed = MEASURED[quantity]
    planned = fires(
        "e1", "monday", quantity=quantity, relation="within", bounds=(observed, observed)
    )
    answer = {"result": result, "text": "", "error": False}
    (row,) = outcomes(tmp_path, [planned], **{instrument: lambda _: answer}).values()
    assert (row["observed"], row["outcome"]) == (observed, "for")


def test_a_token_that_the_lens_does_not_list_ranks_behind_all(tmp_path: Path) -> None:
    lists = {"promoted": {"tokens": [" a"]}, "suppressed": {"tokens": []}}
    planned = fires("e1", "monday", quantity="rank", relation="within", bounds=(1, 50))
    answer = {"result": lists, "text": "", "error": False}
    (row,) = outcomes(tmp_path, [planned], logit_lens=lambda _: answer).values()
    assert (row["observed"], row["outcome"]) == (101.0, "against")


def test_an_artificial_target_cannot_be_read_by_a_program(tmp_path: Path) -> None:
    context: Any = made_context(tmp_path, nulls={"mlp.0.0": "noise"})
    context.instruments = desk = RecordingDesk()
    run_experiments(context, UNIT, [fires("e1", "on Monday")], read_plainly)
    (row,) = context.log.all("outcome", str(UNIT)).values()
    assert row["outcome"] == "void"
    assert desk.calls == []
