"""What every request begins with, instructions and tools, in tokens of a real vocabulary: an instrument more must not
eat what an investigation may say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from hubel.agent.llm.loopback import Loopback
from hubel.tools.subject.subject import Subject
from tests.agent.experimenter.conftest import Work
from tests.agent.experimenter.minds import Scripted, diligent
from tests.agent.experimenter.test_economy import PROMPT_TOKENS

PREFIX_TOKENS = 3200
"""Each request carries it, read from the cache: at 3,200 a dozen requests would be over 38,000 of the 40,000."""


def tokens(subject: Subject, value: Any) -> int:
    return len(subject.tokenizer(json.dumps(value, ensure_ascii=False), add_special_tokens=False)["input_ids"])


def prefix(body: Mapping[str, Any]) -> list[Any]:
    return [body["tools"], next(m for m in body["messages"] if m["role"] == "system")]


@pytest.mark.subject
def test_the_prefix_and_an_investigation_stay_within_their_tokens(work: Work, subject: Subject) -> None:
    with Loopback(Scripted(diligent)) as server:
        work(None, base_url=server.url("openai"), competitor=True)
    bodies = [body for body in server.bodies if body.get("tools")]
    assert len(bodies) == 6
    assert max(tokens(subject, prefix(body)) for body in bodies) <= PREFIX_TOKENS
    assert sum(tokens(subject, [body["tools"], body["messages"]]) for body in bodies) <= PROMPT_TOKENS
