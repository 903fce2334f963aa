"""The gate, on a clock of its own: what it lets through is what the server's buckets hold."""

from __future__ import annotations

import pytest

from hubel.agent.llm.conversation import TokenUsage
from hubel.agent.llm.rate_gate import RateGate, Ticket
from hubel.agent.llm.rate_headers import Allowance


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def through(gate: RateGate) -> Ticket:
    ticket = Ticket()
    assert gate.admit(ticket) == 0.0
    return ticket


def test_an_unknown_server_is_asked_freely(clock: Clock) -> None:
    gate = RateGate(clock)
    assert all(gate.admit(Ticket()) == 0.0 for _ in range(100))


def test_a_bucket_lets_through_what_is_left_and_then_at_its_rate(clock: Clock) -> None:
    """Sixty a minute, two left: two pass, the third waits a second, and so does each after it."""
    gate = RateGate(clock)
    first = through(gate)
    gate.answered(first, [Allowance("requests", 2, 60, 58.0)], None)
    through(gate)
    through(gate)
    for _ in range(3):
        wait = gate.admit(Ticket())
        assert wait == pytest.approx(1.0)
        clock.now += wait
        through(gate)


def test_calls_that_the_header_cannot_know_of_are_counted(clock: Clock) -> None:
    """Three were under way when the first was answered with "three left": one more may go."""
    gate = RateGate(clock)
    first, _, _ = through(gate), through(gate), through(gate)
    gate.answered(first, [Allowance("requests", 3, 60, 57.0)], None)
    through(gate)
    assert gate.admit(Ticket()) > 0


def test_an_older_answer_does_not_overwrite_a_newer(clock: Clock) -> None:
    gate = RateGate(clock)
    first, second = through(gate), through(gate)
    gate.answered(second, [Allowance("requests", 0, 60, 60.0)], None)
    gate.answered(first, [Allowance("requests", 50, 60, 10.0)], None)
    assert gate.admit(Ticket()) == pytest.approx(
        2.0
    )  # the first was under way, and may not have been counted


def test_tokens_are_taken_at_what_calls_took_on_average(clock: Clock) -> None:
    gate = RateGate(clock)
    gate.answered(through(gate), [], TokenUsage(900, 100))
    gate.answered(through(gate), [Allowance("tokens", 1500, 60_000, 58.5)], TokenUsage(900, 100))
    through(gate)
    assert gate.admit(Ticket()) == pytest.approx(0.5)


def test_a_header_is_not_believed_for_ever(clock: Clock) -> None:
    """A limit of a day with nothing left: after two minutes the server is asked, and may say it again."""
    gate = RateGate(clock)
    gate.answered(through(gate), [Allowance("requests", 0, 100, 86_400.0)], None)
    wait = gate.admit(Ticket())
    assert wait == pytest.approx(120.0)
    clock.now += wait
    through(gate)


def test_a_refusal_closes_the_gate_for_all_and_halves_what_is_under_way(clock: Clock) -> None:
    gate = RateGate(clock)
    tickets = [through(gate) for _ in range(8)]
    for ticket in tickets:
        gate.failed(ticket, [], pause_s=5.0)
    assert gate.admit(Ticket()) == pytest.approx(5.0)
    clock.now += 5.0
    passed = 0
    while gate.admit(Ticket()) == 0.0:
        passed += 1
    assert passed == 4  # eight refusals of one moment are one halving


def test_answers_let_more_in_again(clock: Clock) -> None:
    gate = RateGate(clock)
    gate.failed(through(gate), [], pause_s=1.0)
    clock.now += 1.0
    ticket = through(gate)
    assert gate.admit(Ticket()) > 0
    gate.answered(ticket, [], None)
    through(gate)
    through(gate)
    assert gate.failing_for() == 0.0
