"""The same investigation over both wires: the providers' own SDKs against a server on this machine."""

from __future__ import annotations

import pytest

from hubel.agent.llm import ModelSettings, preflight
from hubel.agent.llm.beginner import Beginner
from hubel.agent.llm.budget import Limits
from hubel.agent.llm.loopback import Loopback
from hubel.agent.log import RunLog
from hubel.agent.replay import replay
from hubel.agent.run import check_model
from hubel.agent.views import rows
from hubel.tools.errors import UnavailableError, UsageError
from tests.agent.experimenter.conftest import Work
from tests.agent.experimenter.minds import Scripted, diligent


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_investigation_over_the_wire(work: Work, provider: str) -> None:
    with Loopback(Scripted(diligent)) as server:
        folder, result = work(None, explainer=f"{provider}:test", base_url=server.url(provider))
    assert result.done == 1
    row = rows(folder)[0]
    assert (row["explanation"], row["calls"], row["usd"]) == ('Fires on "the".', 6, None)
    assert row["input_tokens"] > row["cached_tokens"] > 0.6 * row["input_tokens"]
    assert len(RunLog(folder, writable=False).all("outcome", "mlp.0.0")) == 16
    assert replay(folder).bitwise


def test_the_beginner_ends_every_investigation(work: Work) -> None:
    with Loopback(Beginner()) as server:
        targets = ["mlp.0.0", "mlp.0.1", "mlp.2.3-", "head.1.0"]
        folder, result = work(None, targets=targets, base_url=server.url("openai"))
    assert result.done == 4
    log = RunLog(folder, writable=False)
    assert sum(len(log.all("outcome", target)) for target in targets) >= 12
    assert {row["verdict"] for row in rows(folder)} <= {"kept", "rejected", "inconclusive"}
    assert replay(folder).bitwise


def test_a_limit_of_calls_is_held_and_a_larger_one_goes_on(work: Work) -> None:
    mind = Scripted(diligent)
    _, result = work(mind, targets=["mlp.0.0", "mlp.0.1"], budget={"calls": 4.0}, concurrency=1)
    assert (result.done, result.pending, len(mind.requests)) == (0, 2, 4)
    assert "4 of 4 calls" in result.budget
    again = Scripted(diligent)
    _, result = work(again, limits=Limits(run={"calls": 12.0}))
    assert (result.done, len(again.requests), result.budget) == (2, 8, "")


def test_a_missing_key_server_or_price_is_found_out_for_free(work: Work) -> None:
    from hubel.agent.config import RunConfig

    with pytest.raises(UsageError, match="set OPENAI_API_KEY"):
        preflight("openai:gpt", ModelSettings())
    with pytest.raises(UsageError, match="set ANTHROPIC_API_KEY"):
        preflight("anthropic:claude", ModelSettings())
    with pytest.raises(UnavailableError, match="no server answers at http://127"):
        preflight("openai:gpt", ModelSettings(base_url="http://127.0.0.1:9/v1"))
    with pytest.raises(UsageError, match="names no language model"):
        preflight("openai:", ModelSettings())
    with pytest.raises(UsageError, match="no price is known"):
        check_model(RunConfig(index="i", targets=[], explainer="openai:x", budget={"usd": 5.0}))
