"""Every instrument in the hands of a language model: it works, and nothing that it answers says where a unit is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hubel.agent.experimenter import tools
from hubel.agent.experimenter.aliases import Aliases
from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.log import RunLog, canonical
from hubel.agent.replay import replay
from hubel.agent.views import rows
from hubel.tools.errors import ArgumentError
from tests.agent.experimenter.conftest import Work
from tests.agent.experimenter.minds import Scripted, diligent, is_second_look, reply, turn_of

TEXT = "a cat told the dog of the year 1999"
LABELLED = [f"{word} cat {i}" for i in range(6) for word in ("the", "a")]
CALLS: dict[str, dict[str, Any]] = {
    "ablate": {"texts": [TEXT], "op": "zero", "new_tokens": 2},
    "activations_exemplars": {"unit": "U", "k": 2},
    "activations_on_text": {"texts": [TEXT, f"{TEXT} red"]},
    "activations_search": {"text": TEXT, "k": 3},
    "activations_statistics": {},
    "coactivating": {"unit": "U", "contexts": 6, "k": 2},
    "compare": {"text": TEXT, "other": f"{TEXT} red"},
    "corpus_search": {"pattern": "cat", "most": 4},
    "generate": {"text": TEXT, "units": "U", "new_tokens": 2},
    "logit_lens": {},
    "nearest": {"k": 3},
    "patch": {"units": "U", "base": TEXT, "source": "a cat told the dog of the year red", "tokens": ["cat", "dog"]},
    "probe": {"texts": LABELLED, "labels": [text.split()[0] for text in LABELLED]},
    "steer": {"text": TEXT, "strengths": [2.0, -2.0], "new_tokens": 2},
    "tokens_describe": {"words": ["cat", "zebra"]},
    "upstream": {"text": TEXT, "focus": "dog", "k": 4},
}


def asked(name: str) -> tuple[str, dict[str, Any]]:
    direct = {schema.name for schema in tools.schemas()}
    return (name, CALLS[name]) if name in direct else (tools.SHARED, {"name": name, "arguments": CALLS[name]})


def thorough(number: int, request: Request) -> Reply:
    """As the diligent one, but calls every instrument on the way, and then some by the aliases that came up."""
    if is_second_look(request) or turn_of(request) in (0, 3, 4, 5):
        return diligent(number, request)
    if turn_of(request) == 1:
        return reply(*map(asked, CALLS))
    return reply(
        ("compare", {"unit": "U2", "text": TEXT, "other": f"{TEXT} red"}),
        (tools.SHARED, {"name": "nearest", "unit": "U1", "k": 2}),
        (tools.SHARED, {"name": "probe", "arguments": canonical(CALLS["probe"] | {"site": "S1"})}),
    )


def test_every_instrument_can_be_called_and_says_nothing_of_places(work: Work) -> None:
    assert set(CALLS) == set(tools.offered()), "every instrument is offered, and called here"
    mind = Scripted(thorough)
    folder, _ = work(mind, targets=["mlp.2.5"])
    (row,) = rows(folder)
    assert row["status"] == "done", row["error"]
    log = RunLog(folder, writable=False)
    consulted = [c for c in log.all("call", "mlp.2.5").values() if c["request"].get("rendered")]
    assert [c["answer"]["text"] for c in consulted if c["answer"]["error"]] == []
    assert {c["request"]["instrument"].replace(".", "_") for c in consulted} == set(CALLS)
    said = "\n".join(canonical(request.to_json()) for request in mind.requests)
    assert re.findall(r"(?:mlp|mlp_in|head|resid|attn|stream|z)[._ ]\d+", said) == []
    assert re.findall(r"layers?\W+\d", said, re.IGNORECASE) == []
    assert "tiny" not in said
    assert "earlier in the model" in said
    reached = {str(c["request"]["arguments"].get("unit")) for c in consulted} - {"None"}
    assert len(reached) >= 3, "aliases reach other units"
    assert replay(folder).bitwise


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "steer", "arguments": {"text": TEXT, "unit": "mlp.1.5"}}, "known are U"),
        ({"name": "shell", "arguments": {}}, "there are ablate, activations_exemplars"),
        ({"name": "steer", "arguments": 7}, r"arguments is no object; steer\(text, strengths\[\]"),
        ({"name": "activations_search", "arguments": {"text": TEXT, "layers": [1]}}, "cannot be chosen here"),
    ],
)
def test_what_is_off_is_answered_with_what_to_give(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        tools.revealed(*tools.unwrapped(tools.SHARED, arguments), Aliases("mlp.0.0"))


def test_the_shared_tool_tells_each_instrument_in_a_line() -> None:
    shared = tools.schemas()[-1]
    lines = shared.description.splitlines()[1:]
    assert shared.name == tools.SHARED
    names = shared.parameters["properties"]["name"]["enum"]
    assert [line.partition("(")[0] for line in lines] == names
    assert {schema.name for schema in tools.schemas()[:-1]} | set(names) == set(CALLS)
