"""Calls of MCP clients without the protocol: unknown tools, odd arguments, calls that are given up."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from hubel.agent.mcp.dispatch import InstrumentDispatcher
from hubel.agent.runlog.log import RunLog
from hubel.tools.instruments import InstrumentContext
from tests.agent.mcp.conftest import TOOLS


def test_an_unknown_tool_is_answered_with_the_names_that_clients_know(
    desk: InstrumentDispatcher,
) -> None:
    answer = desk.call("shell\x1b[2J", {})
    assert answer.error
    assert "activations_exemplars" in answer.text
    assert "activations.exemplars" not in answer.text
    assert "\x1b" not in answer.text


@pytest.mark.parametrize(
    "arguments",
    [
        {"strengths": [float("nan")]},
        {"seed": 2**80},
        {"text": "\ud800\ud800"},
        {"text": "x" * 6_000_000},
        {"unknown\ud800": [[[[[[[[[[1e999]]]]]]]]]]},
    ],
)
def test_odd_arguments_are_answered_and_logged(
    arguments: dict[str, Any], desk: InstrumentDispatcher, tmp_path: Path
) -> None:
    log = RunLog(tmp_path)
    answer = InstrumentDispatcher(desk.bench, log).call("steer", TOOLS["steer"] | arguments)
    log.close()
    assert answer.error == (arguments.get("text") != "\ud800\ud800")
    (logged,) = RunLog(tmp_path, writable=False).all("call").values()
    assert logged["answer"]["error"] == answer.error
    assert len(json.dumps(logged)) < 8_000_000


def test_a_call_that_is_given_up_ends_before_the_next_forward_pass(
    desk: InstrumentDispatcher,
) -> None:
    passes: list[int] = []
    given_up = Event()

    def count(*_: Any) -> None:
        passes.append(1)
        if len(passes) == 3:
            given_up.set()

    desk.bench.require_subject().model.register_forward_hook(count)
    answer = desk.call("generate", TOOLS["generate"] | {"new_tokens": 20}, given_up)
    assert (answer.error, len(passes)) == (True, 3)
    assert "gave up" in answer.text
    assert not desk.call("generate", TOOLS["generate"]).error


def test_a_call_that_is_given_up_while_it_waits_is_not_made(desk: InstrumentDispatcher) -> None:
    given_up = Event()
    given_up.set()
    loaded = InstrumentContext(lambda: pytest.fail("made"), desk.bench.index)
    answer = InstrumentDispatcher(loaded).call("generate", TOOLS["generate"], given_up)
    assert answer.error
