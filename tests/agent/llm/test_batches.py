"""Judges in batches: over the providers' own SDKs, against a server on this machine."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hubel.agent.llm.budget import Budget
from hubel.agent.llm.conversation import Reply, Request, UserMessage
from hubel.agent.llm.meter import Checks
from hubel.agent.rescoring.evaluate import check_plan, evaluate
from hubel.agent.rescoring.plan import Evaluation, RescoringPlan
from hubel.agent.rescoring.sources import open_source
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.model_config import BudgetConfig, ModelConfig
from hubel.agent.runlog.progress import Reporter
from hubel.bench.loopback import Loopback, Script
from hubel.evals.judge.protocol import AnswerPending, answer_each
from hubel.tools.errors import BudgetReached, UsageError
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config

PRICE = {"input": 1.0, "output": 1.0, "batch": 0.5}
HARMLESS = ("refuse_create", "lost_create", "poll_errors", "cut_results", "shuffled", "stranger")


class Arbitrary:
    """Says yes to about half of the examples, by their text."""

    name = "openai:arbitrary"

    def reply(self, request: Request) -> Reply:
        (message,) = request.messages
        assert isinstance(message, UserMessage)
        examples = re.findall(r"^(\d+)\. (.*)$", message.text, re.MULTILINE)
        return Reply("\n".join(f"{n}: {zlib.crc32(text.encode()) % 2}" for n, text in examples))


class Stops(Reporter):
    """Interrupts at the first report about batches, as Ctrl-C does."""

    def update(self, step: str, *_: object, **__: object) -> None:
        if step == "batches":
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(tiny_index: Path, tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = run_config(index=str(tiny_index), targets=["mlp.0.0-1"], explainer="ten-tokens")
    make_run(folder, resolve(config))
    execute_run(folder, subject=tiny)
    return folder


Evaluate = Callable[..., Evaluation]


@pytest.fixture
def score(finished: Path, tmp_path: Path) -> Evaluate:
    """Judge the run's copy of a name, by a server."""

    def run(
        server: Loopback,
        name: str = "run",
        reporter: Reporter | None = None,
        provider: str = "openai",
        **settings: object,
    ) -> Evaluation:
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(finished, folder)
        judge = ModelConfig(f"{provider}:any", server.url(provider), PRICE)
        plan = RescoringPlan(("detection", "fuzzing"), judge, patience=1.0, batch=True)
        plan = replace(plan, **settings)  # pyright: ignore[reportArgumentType]
        checks = Checks(
            Budget(plan.budget)
        )  # nothing is checked, so the server counts answers only
        return evaluate(open_source(name, tmp_path), plan, reporter=reporter, checks=checks)

    return run


def server(*faults: str, batch_s: float = 0.05, no_batches: bool = False) -> Loopback:
    return Loopback(
        Arbitrary(), script=Script(batch_faults=faults, batch_s=batch_s, no_batches=no_batches)
    )


def values(evaluation: Evaluation) -> list[float]:
    return [score.value for row in evaluation.rows for score in row.scores]


def paid_twice(server: Loopback) -> list[int]:
    return [n for n in server.ledger.answered().values() if n > 1]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_batches_give_the_same_scores_at_half_the_price_whatever_the_server_does(
    score: Evaluate, provider: str
) -> None:
    with server(*HARMLESS, "twice") as loopback:
        batched = score(loopback, provider=provider)
        assert (loopback.batches.created(), paid_twice(loopback)) == (1, [])
    with server() as loopback:
        direct = score(loopback, "direct", provider=provider, batch=False)
        assert loopback.batches.created() == 0
    assert values(batched) == values(direct)
    assert len(set(values(batched))) > 1
    for row, other in zip(batched.rows, direct.rows, strict=True):
        tokens = row.cost.input_tokens + row.cost.output_tokens
        assert row.cost.usd == pytest.approx(0.5 * tokens / 1e6)
        assert other.cost.usd == pytest.approx(2 * 0.5 * tokens / 1e6)


@pytest.mark.parametrize(
    ("provider", "fault", "why"),
    [
        ("openai", "partial", "500: the server had an error"),
        ("openai", "expired", "batch_expired"),
        ("openai", "failed", "refused the batch: invalid_json_line"),
        ("anthropic", "canceled", "canceled"),
    ],
)
def test_what_fails_in_a_batch_is_a_failure_that_can_be_retried(
    score: Evaluate, provider: str, fault: str, why: str
) -> None:
    with server(fault) as loopback:
        first = score(loopback, provider=provider)
        reasons = [reason for row in first.rows for reason in row.failures.values()]
        assert reasons
        assert all(why in reason for reason in reasons)
        again = score(loopback, provider=provider, retry_failed=True)
        assert [row.failures for row in again.rows] == [{}, {}]
        assert paid_twice(loopback) == []
    with server() as loopback:
        assert values(again) == values(score(loopback, "direct", provider=provider, batch=False))


def test_an_interrupted_batch_is_collected_later_and_paid_for_once(
    score: Evaluate, tmp_path: Path
) -> None:
    with server(batch_s=0.3) as loopback:
        with pytest.raises(KeyboardInterrupt):
            score(loopback, reporter=Stops())
        with pytest.raises(UsageError, match=r"8 requests are in batches .*\(batch_1\).* --batch"):
            score(loopback, batch=False)
        with server() as another, pytest.raises(UsageError, match="there is no batch batch_1"):
            score(another)
        assert all(row.status == "done" for row in score(loopback).rows)
        assert (loopback.batches.created(), paid_twice(loopback)) == (1, [])
    log = RunLog(tmp_path / "run", writable=False)
    rows = [row for t in ("mlp.0.0", "mlp.0.1") for row in log.all("llm_request", t).values()]
    assert {row["outcome"] for row in rows} == {"answered"}
    assert not any(row["estimated"] for row in rows)


def test_a_batch_exceeds_no_limit_and_the_rest_stays_pending(score: Evaluate) -> None:
    with server() as loopback:
        few = score(loopback, budget=BudgetConfig({"calls": 6.0}))
        asked = len(loopback.ledger.entries())
        assert asked <= 6
        assert few.budget
        assert sorted(row.status for row in few.rows) == ["done", "pending"]
        all_in_parts = score(loopback, "other", budget=BudgetConfig({"tokens": 16_000.0}))
        assert [row.status for row in all_in_parts.rows] == ["done", "done"]
        assert loopback.batches.created() > 2  # the largest costs do not fit at once


def test_what_cannot_be_batched_is_refused_in_one_line() -> None:
    with server(no_batches=True) as loopback:
        judge = ModelConfig("openai:any", loopback.url("openai"))
        with pytest.raises(UsageError, match=r"has no batch API \(it answers 404\): leave out"):
            check_plan(RescoringPlan(("detection",), judge, batch=True))
    with pytest.raises(UsageError, match="--batch is how language models judge"):
        check_plan(RescoringPlan(("detection",), batch=True))


def test_all_independent_questions_are_asked_before_the_wait() -> None:
    asked: list[int] = []

    def ask(number: int) -> int:
        asked.append(number)
        if number % 2:
            raise AnswerPending
        return number

    with pytest.raises(AnswerPending):
        answer_each(ask, range(5))
    assert asked == [0, 1, 2, 3, 4]
    assert answer_each(ask, [0, 2]) == [0, 2]


def test_a_budget_reserves_the_largest_cost_and_frees_what_was_not_spent() -> None:
    budget = Budget(BudgetConfig({"usd": 1.0}))
    budget.reserve("u", {"usd": 0.6})
    with pytest.raises(BudgetReached, match=r"0\.6 of 1 US dollars, and the next request may take"):
        budget.reserve("u", {"usd": 0.6})
    budget.charge("u", {"usd": -0.5})
    budget.reserve("u", {"usd": 0.6})
