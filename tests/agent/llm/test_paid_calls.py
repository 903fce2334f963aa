"""What a model, a judge and a simulator answer is written before it is used, and paid for once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hubel.agent.llm.budget import Budget
from hubel.agent.llm.conversation import (
    AssistantMessage,
    Reply,
    Request,
    TokenUsage,
    ToolCall,
    ToolResult,
    ToolResults,
    UserMessage,
    Wait,
)
from hubel.agent.llm.journaled_judge import JournaledJudge
from hubel.agent.llm.journaled_model import JournaledModel, ReplayModel
from hubel.agent.llm.meter import Checks
from hubel.agent.llm.paid_calls import cost_of, usage_fields
from hubel.agent.llm.prices import Price
from hubel.agent.llm.reply_limits import bounded_json
from hubel.agent.llm.sentence_judges import SentenceJudges, make_sentence_judges
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.model_config import UNLIMITED, BudgetConfig, ModelConfig
from hubel.evals.judge.protocol import ChatAnswer, ChatRequest, JudgeError, Usage
from hubel.tools.errors import BudgetReached, CorruptError
from tests.support.configs import run_config

QUESTION = Request("system", (UserMessage("what?"),), prompt="p@1#0")
CHAT = ChatRequest("system", "user", 20, "detection@1#0")
PRICE = Price(input=1.0, output=10.0, cache_read=0.1, cache_write=1.0)


class CountingModel:
    """A language model and a judge that say how often they were asked."""

    name = "openai:m"

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.asked = replies, 0

    def reply(self, request: Request) -> Reply:
        self.asked += 1
        return self.replies[min(self.asked, len(self.replies)) - 1]

    def ask(self, request: ChatRequest) -> ChatAnswer:
        self.asked += 1
        return ChatAnswer(f"answer {self.asked}", usage=Usage(5, 2, 0.25))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RunLog]:
    with closing(RunLog(tmp_path)) as log:
        yield log


def journaled(
    log: RunLog, model: CountingModel, limits: BudgetConfig = UNLIMITED
) -> tuple[JournaledModel, Budget]:
    budget = Budget(limits)
    return JournaledModel(log, "openai:m", model, budget, PRICE), budget


def test_a_reply_is_paid_once_even_after_a_restart(log: RunLog, tmp_path: Path) -> None:
    model = CountingModel(Reply("yes", usage=TokenUsage(100, 10)))
    asker, _ = journaled(log, model)
    first = asker.ask("u", QUESTION)
    assert asker.ask("u", QUESTION) == first
    with closing(RunLog(tmp_path)) as again:
        assert journaled(again, model)[0].ask("u", QUESTION) == first
        assert journaled(again, model)[0].ask("v", QUESTION).reply == first.reply
    assert model.asked == 2, "another target is another request"


def test_the_row_holds_the_messages_since_the_last_reply_and_the_prompt_once(log: RunLog) -> None:
    call = ToolCall("c", "look", {}, "{}")
    first = Reply("", (call,), "tools", TokenUsage(100, 10), "m-2026")
    asker, _ = journaled(log, CountingModel(first, Reply("done", usage=None)))
    asker.ask("u", QUESTION)
    answered = (*QUESTION.messages, AssistantMessage(first), ToolResults((ToolResult("c", "r"),)))
    asker.ask("u", Request("system", answered, prompt="p@1#0"))
    rows = list(log.all("llm_call", "u").values())
    assert [row["request"]["new"] for row in rows] == [
        [{"text": "what?"}],
        [{"results": [{"id": "c", "text": "r", "error": False}]}],
    ]
    prompts = log.all("prompt")
    assert {row["request"]["system_and_tools"] for row in rows} == set(prompts)
    assert len(prompts) == 1
    assert [row["model"] for row in rows] == ["m-2026", "openai:m"]
    assert {row["role"] for row in rows} == {"explainer"}
    assert rows[0]["usd"] == pytest.approx(200e-6)
    assert rows[1]["input_tokens"] is None
    assert rows[1]["guess"]["tokens"] > 0


def test_the_key_of_a_request_never_changes(log: RunLog) -> None:
    """Finished runs are replayed by these keys."""
    key = journaled(log, CountingModel(Reply("yes")))[0].ask("u", QUESTION).key
    assert key == "ebc724c1376d6ee09338845e3d8964d2"
    JournaledJudge(CountingModel(), log, "u", "openai:j").ask(CHAT)
    assert list(log.all("llm_call", "u")) == [key, "90a41113df3ea2fea70f119e41f241f8"]


def test_a_call_is_admitted_before_and_charged_after(log: RunLog) -> None:
    model = CountingModel(Reply("yes", usage=TokenUsage(100, 10)))
    asker, budget = journaled(log, model, BudgetConfig(target={"calls": 1.0}))
    asker.ask("u", QUESTION)
    asker.ask("u", QUESTION)  # from the journal: costs nothing
    other = Request("system", (UserMessage("and?"),))
    with pytest.raises(BudgetReached, match=r"u took 1 of 1 calls"):
        asker.ask("u", other)
    with pytest.raises(BudgetReached):
        asker.admit("u")
    asker.ask("v", other)
    budget.admit("w")
    assert model.asked == 2
    assert len(log.all("llm_call", "u")) == 1


def test_checks_are_numbered_after_those_of_earlier_starts(log: RunLog) -> None:
    for _ in range(2):
        checks = Checks()
        checks.meter(ModelConfig("openai:m")).send(QUESTION, 10).answered(Reply("ready"))
        checks.write_to(log)
    numbers = {id: row["number"] for id, row in log.all("llm_request").items()}
    assert numbers == {"openai:m/1": 1, "openai:m/2": 2}


def test_limits_of_the_run_count_all_targets_and_what_was_spent_before() -> None:
    spent = {"usd": 0.4, "calls": 1.0}
    budget = Budget(BudgetConfig({"usd": 1.0, "tokens": 0.0}), [("u", spent), ("v", spent)])
    budget.admit("w")
    budget.charge("w", {"usd": 0.2, "tokens": 1e9})
    with pytest.raises(BudgetReached, match="the run took 1 of 1 US dollars"):
        budget.admit("x")


def test_a_replay_gives_the_journaled_replies_in_their_order(log: RunLog) -> None:
    asker, _ = journaled(log, CountingModel(Reply("one"), Reply("two")))
    asker.ask("u", QUESTION)
    asker.ask("u", Request("system", (UserMessage("and?"),)))
    replay = ReplayModel(log, "openai:m")
    assert replay.ask("u", QUESTION).reply.text == "one"
    changed = Request("another system", (UserMessage("and?"),))
    assert replay.ask("u", changed).reply.text == "two", "in its place"
    with pytest.raises(CorruptError, match="holds 2 replies of openai:m"):
        replay.ask("u", changed)


def test_a_judge_is_asked_again_only_under_the_next_attempt(log: RunLog) -> None:
    chat = CountingModel()
    answers = [
        JournaledJudge(chat, log, "u", "openai:j", attempt, "judge", Budget(UNLIMITED)).ask(CHAT)
        for attempt in (0, 0, 1)
    ]
    assert [answer.text for answer in answers] == ["answer 1", "answer 1", "answer 2"]
    assert JournaledJudge(None, log, "u", "openai:j").ask(CHAT) == answers[0]
    with pytest.raises(JudgeError, match=r"no answer of openai:k .*detection@1"):
        JournaledJudge(None, log, "u", "openai:k").ask(CHAT)
    (row, _) = log.all("llm_call", "u").values()
    assert {name: row[name] for name in ("role", "model", "input_tokens", "usd")} == {
        "role": "judge",
        "model": "openai:j",
        "input_tokens": 5,
        "usd": 0.25,
    }


def test_simulator_and_judge_of_a_run_share_its_budget(log: RunLog) -> None:
    config = run_config(index="i", targets=["u"], simulator="openai:s", judge="openai:j")
    simulator, judge = CountingModel(), CountingModel()
    budget = Budget(BudgetConfig({"calls": 2.0}))
    judges = SentenceJudges(config, log, {"simulator": simulator, "judge": judge}, budget)
    for role in ("simulator", "judge"):
        chat = judges.chat(role, "u", "h1/detection")
        assert chat is not None
        assert chat.ask(CHAT).text == "answer 1"
    with pytest.raises(BudgetReached):
        budget.admit("u")
    assert {row["role"] for row in log.all("llm_call", "u").values()} == {"simulator", "judge"}


def test_a_failed_score_is_asked_for_again(log: RunLog) -> None:
    config = run_config(index="i", targets=["u"], judge="openai:j")
    chat = CountingModel()
    judges = SentenceJudges(config, log, {"judge": chat}, None)
    assert judges.has("judge")
    assert judges.chat("simulator", "u", "h1/llm_simulation") is None
    for number in (1, 2, 3):
        judge = judges.chat("judge", "u", "h1/detection")
        assert judge is not None
        assert judge.ask(CHAT).text == f"answer {number}"
        judges.record_failure("u", "h1/detection", "unreadable")
    assert log.get("score_failure", "u", "h1/detection") == {"why": "unreadable", "attempts": 3}


def test_a_run_without_readers_makes_none(log: RunLog) -> None:
    from hubel.agent.llm.retry import Patience

    config = run_config(index="i", targets=["u"])
    judges = make_sentence_judges(config, log, Patience(), Budget(UNLIMITED))
    assert not judges.has("judge")
    assert judges.chat("judge", "u", "h1/detection") is None


def test_waits_and_attempts_go_into_the_row() -> None:
    waits = (Wait("busy", 1.5, failed=True), Wait("limit", 0.25))
    fields = usage_fields(Reply("x", usage=TokenUsage(10, 1), waits=waits), QUESTION, None)
    assert (fields["attempts"], fields["waited"], fields["usd"]) == (2, 1.75, None)
    assert "guess" not in fields


def test_a_server_that_counts_no_tokens_is_charged_a_guess() -> None:
    reply = Reply("x" * 40, (ToolCall("c", "t", {}, "y" * 40),))
    fields = usage_fields(reply, Request("r" * 200, (UserMessage("u" * 200),)), PRICE)
    cost = cost_of({**fields, "seconds": 2.0})
    assert cost == {"calls": 1.0, "tokens": 120.0, "usd": pytest.approx(300e-6), "seconds": 2.0}


def test_anything_a_model_writes_can_be_logged() -> None:
    nested: list[object] = []
    for _ in range(60):
        nested = [nested]
    value = bounded_json({1: "\ud800", "nan": float("nan"), "deep": nested, "t": (1, 2)})
    assert value["1"] == "\ufffd"
    assert value["nan"] is None
    assert value["t"] == [1, 2]
    depth = 0
    while isinstance(value := value["deep"] if isinstance(value, dict) else value[0], list):
        depth += 1
    assert value is None
    assert depth == 40
