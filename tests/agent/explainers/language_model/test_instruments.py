"""Every instrument in the hands of a language model: it works, and nothing that it answers says where a unit is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hubel.agent.explainers.language_model import tools
from hubel.agent.explainers.language_model.aliases import Aliases
from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import RunLog, canonical
from hubel.agent.runlog.views import target_rows
from hubel.tools.errors import ArgumentError
from hubel.tools.subject.address import Unit
from tests.support.calls import CALLS, OTHER, TEXT
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import ScriptedModel, diligent, is_second_look, reply, turn_of

WITHOUT_UNIT = {
    name.replace(".", "_"): {
        k: v for k, v in arguments.items() if k not in ("unit", "units", "site")
    }
    for name, arguments in CALLS.items()
}
"""A unit left out is U, where one is needed."""
WITHOUT_UNIT["attribute"]["unit"] = "U"  # needs a unit or an answer


NAMES, FIRST = list(WITHOUT_UNIT), 12
"""A reply may have 16 calls."""


def asked(name: str) -> tuple[str, dict[str, Any]]:
    direct = {schema.name for schema in tools.schemas()}
    return (
        (name, WITHOUT_UNIT[name])
        if name in direct
        else (tools.SHARED, {"name": name, "arguments": WITHOUT_UNIT[name]})
    )


def thorough(number: int, request: Request) -> Reply:
    """As the diligent one, but calls every instrument on the way, and then some by the aliases that came up."""
    if is_second_look(request) or turn_of(request) in (0, 3, 4, 5):
        return diligent(number, request)
    if turn_of(request) == 1:
        return reply(*map(asked, NAMES[:FIRST]))
    return reply(
        *map(asked, NAMES[FIRST:]),
        ("compare", {"unit": "U2", "text": TEXT, "other": OTHER}),
        (tools.SHARED, {"name": "nearest", "unit": "U1", "k": 2}),
        (
            tools.SHARED,
            {"name": "probe", "arguments": canonical(WITHOUT_UNIT["probe"] | {"site": "S1"})},
        ),
    )


@pytest.mark.slow
def test_every_instrument_can_be_called_and_says_nothing_of_places(run_model: RunModel) -> None:
    assert set(WITHOUT_UNIT) == set(tools.instrument_tools()), (
        "every instrument is offered, and called here"
    )
    model = ScriptedModel(thorough)
    folder, _ = run_model(model, targets=["mlp.2.5"])
    (row,) = target_rows(folder)
    assert row["status"] == "done", row["error"]
    log = RunLog(folder, writable=False)
    consulted = [c for c in log.all("call", "mlp.2.5").values() if c["request"].get("rendered")]
    assert [c["answer"]["text"] for c in consulted if c["answer"]["error"]] == []
    assert {c["request"]["instrument"].replace(".", "_") for c in consulted} == set(WITHOUT_UNIT)
    requests = "\n".join(canonical(request.to_json()) for request in model.requests)
    assert re.findall(r"(?:mlp|mlp_in|head|resid|attn|stream|z)[._ ]\d+", requests) == []
    assert re.findall(r"layers?\W+\d", requests, re.IGNORECASE) == []
    assert "tiny" not in requests
    assert "earlier in the model" in requests
    reached = {str(c["request"]["arguments"].get("unit")) for c in consulted} - {"None"}
    assert len(reached) >= 3, "aliases reach other units"
    assert replay(folder).bitwise


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "steer", "arguments": {"text": TEXT, "unit": "mlp.1.5"}}, "known are U"),
        ({"name": "shell", "arguments": {}}, "there are ablate, activations_by_concept"),
        (
            {"name": "steer", "arguments": 7},
            r"arguments is not an object; steer\(text, strengths\[\]",
        ),
        (
            {"name": "activations_search", "arguments": {"text": TEXT, "layers": [1]}},
            "cannot be chosen here",
        ),
    ],
)
def test_an_invalid_instrument_call_is_answered_with_what_is_valid(
    arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        tools.replace_aliases(
            *tools.unwrap_call(tools.SHARED, arguments), Aliases(Unit.parse("mlp.0.0"))
        )


def test_the_shared_tool_tells_each_instrument_in_a_line() -> None:
    shared = tools.schemas()[-1]
    lines = shared.description.splitlines()[1:]
    assert shared.name == tools.SHARED
    assert {line.partition("(")[0] for line in lines} == set(WITHOUT_UNIT)
    assert set(tools._SUMMARIES) <= set(tools.instrument_tools().values()), (
        "a line about an instrument that is not there"
    )
