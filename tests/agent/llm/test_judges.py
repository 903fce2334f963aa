"""Language models as judges: over the providers' own SDKs, against a server on this machine."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hubel.agent.llm import Patience
from hubel.agent.llm.conversation import Reply, Request, TokenUsage, UserMessage
from hubel.agent.llm.judges import make_judge
from hubel.agent.rescoring.evaluate import check_plan, evaluate
from hubel.agent.rescoring.plan import RescoringPlan
from hubel.agent.rescoring.sources import open_source
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.model_config import ModelConfig
from hubel.agent.runlog.views import connect
from hubel.bench.loopback import Loopback, Script
from hubel.evals.judge.protocol import ChatRequest, JudgeError
from hubel.tools.errors import UnavailableError, UsageError
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config

NOWHERE = "http://127.0.0.1:9/v1"
"""No server listens there."""


@dataclass
class Yes:
    """Says yes to every example that it is asked about."""

    name: str = "openai:yes"
    stop: str = "end"
    asked: list[str] = field(default_factory=list)

    def reply(self, request: Request) -> Reply:
        (message,) = request.messages
        assert isinstance(message, UserMessage)
        self.asked.append(message.text)
        count = re.search(r"1 to (\d+)", message.text)
        said = "\n".join(f"{n}: 1" for n in range(1, int(count[1]) + 1)) if count else "no list"
        return Reply(said, stop=self.stop, usage=TokenUsage(50, 10), model="yes")  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def finished(tiny_index: Path, tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    make_run(
        folder,
        resolve(run_config(index=str(tiny_index), targets=["mlp.0.0-3"], explainer="ten-tokens")),
    )
    execute_run(folder, subject=tiny)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs" / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_judge_over_the_wire_is_paid_once_and_no_dollars_are_made_up(
    run: Path, provider: str
) -> None:
    mind = Yes()
    with Loopback(mind, script=Script(models=("yes",))) as server:
        plan = RescoringPlan(
            ("detection", "fuzzing"), ModelConfig(f"{provider}:yes", server.url(provider))
        )
        first = evaluate(open_source("run", run.parent), plan)
        calls = len(mind.asked)
        again = evaluate(open_source("run", run.parent), plan)
    assert calls > 0
    assert len(mind.asked) == calls
    scores = [score for row in first.rows for score in row.scores]
    assert scores
    assert {s.value for s in scores if s.scorer in ("detection", "fuzzing")} == {
        0.5
    }  # always yes: exactly chance
    assert [row.scores for row in again.rows] == [row.scores for row in first.rows]
    assert all(row.cost.usd is None for row in first.rows if row.cost.calls)
    with connect(run) as db:
        (row,) = db.execute(
            "select count(*), sum(input_tokens), max(usd) from llm_calls"
        ).fetchall()
    assert row[0] == calls
    assert row[1] > 0
    assert row[2] is None


def test_what_the_model_cuts_off_or_refuses_is_no_answer() -> None:
    request = ChatRequest("system", "examples 1 to 2.", 20, "detection@1")
    for stop, complete in (("end", True), ("other", True), ("length", False), ("refused", False)):
        with Loopback(Yes(stop=stop)) as server:
            judge = make_judge(ModelConfig("openai:yes", server.url("openai")))
            assert judge is not None
            assert judge.ask(request).complete is complete


def test_a_model_that_does_not_answer_is_a_failure_of_the_score() -> None:
    judge = make_judge(ModelConfig("openai:yes", NOWHERE), Patience(0.05, first_pause_s=0.01))
    assert judge is not None
    with pytest.raises(JudgeError, match="no connection to http://127"):
        judge.ask(ChatRequest("system", "user", 20, "detection@1"))


def test_what_cannot_judge_is_found_out_before_anything_is_loaded() -> None:
    with pytest.raises(UsageError, match="set OPENAI_API_KEY"):
        check_plan(RescoringPlan(judge=ModelConfig("openai:gpt")))
    with pytest.raises(UnavailableError, match="no server answers"):
        check_plan(RescoringPlan(judge=ModelConfig("openai:gpt", NOWHERE)))
    with pytest.raises(UsageError, match="needs no server"):
        check_plan(RescoringPlan(judge=ModelConfig("constant:yes", NOWHERE)))
    with pytest.raises(UsageError, match="openai:MODEL, anthropic:MODEL"):
        check_plan(RescoringPlan(judge=ModelConfig("gpt")))
