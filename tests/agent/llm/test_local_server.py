"""One real local model over its own server: it explains nothing, but protocol, parsing and failures are real."""

from __future__ import annotations

import os

import pytest

from hubel.agent.llm import make_model, preflight
from hubel.agent.llm.conversation import Request, ToolSchema, UserMessage
from hubel.agent.llm.errors import TooLong
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.model_config import ModelConfig
from hubel.agent.runlog.views import target_rows
from hubel.tools.errors import UsageError
from tests.support.language_model_runs import RunModel

URL, MODEL = (
    os.environ.get("HUBEL_LOCAL_SERVER", ""),
    os.environ.get("HUBEL_LOCAL_MODEL", "smollm2"),
)
MODEL_HERE = ModelConfig(f"openai:{MODEL}", URL, tools="auto")
pytestmark = pytest.mark.skipif(
    not URL,
    reason="no local model server: docs/experimenter.md says how one is started; set HUBEL_LOCAL_SERVER to it",
)


def test_preflight_finds_the_local_model_and_no_other() -> None:
    assert preflight(MODEL_HERE).tools in ("native", "named", "text")
    with pytest.raises(UsageError, match=r"no model|not found"):
        preflight(ModelConfig("openai:there-is-no-such-model", URL))


def test_a_tool_that_is_named_is_called_and_read() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    request = Request(
        "", (UserMessage("go"),), (ToolSchema("ready", "", schema),), 64, tool_choice="ready"
    )
    reply = make_model(MODEL_HERE).reply(request)
    assert [call.name for call in reply.calls] == ["ready"]
    assert reply.usage is not None


def test_what_is_longer_than_the_window_is_named() -> None:
    request = Request("", (UserMessage("word " * 200_000),), max_tokens=8)
    with pytest.raises(TooLong, match="longer context"):
        make_model(MODEL_HERE).reply(request)


@pytest.mark.parametrize("tools", ["native", "named", "text"])
def test_an_investigation_ends_as_an_explanation_or_as_a_failure_with_its_reason(
    run_model: RunModel, tools: str
) -> None:
    folder, result = run_model(
        None, explainer=MODEL_HERE.name, base_url=URL, tools=tools, budget={"calls": 6.0}
    )
    (row,) = target_rows(folder)
    assert RunLog(folder, writable=False).all("llm_call", "mlp.0.0")
    assert result.done or result.budget or "could not be used" in (row["error"] or "")
    assert bool(row["scores"]) == (result.done == 1 and row["explanation"] is not None)
