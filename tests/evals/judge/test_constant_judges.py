"""A judge that knows nothing scores exactly chance or is a failure: never NaN, never skill."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.evals.judge.ask import ask_examples
from hubel.evals.judge.offline import ConstantJudge
from hubel.evals.judge.protocol import ChatAnswer, Cost, JudgeError
from hubel.evals.scorers.score_all import score_all
from tests.support.fruit import examples_in, make_task

JUDGED = {
    "detection": 0.5, "fuzzing": 0.5, "discrimination": 0.5, "purity": 0.5, "intruder": 0.2, "intervention": 1 / 3,
    "generative": 0.5,
}  # fmt: skip
CASE = make_task()


class ByPlace:
    """Answers the same list in every prompt, whatever is asked."""

    def __init__(self, pattern: list[str]) -> None:
        self.pattern = pattern

    def ask(self, request):
        n = len(examples_in(request.user)) or 20
        return ChatAnswer(
            "\n".join(f"{i + 1}: {self.pattern[i % len(self.pattern)]}" for i in range(n))
        )


class Fixed:
    def __init__(self, text: str, complete: bool = True) -> None:
        self.text, self.complete = text, complete

    def ask(self, request):
        return ChatAnswer(self.text, self.complete)


def judged(chat, name):
    from dataclasses import replace

    (outcome,) = score_all(replace(CASE, chat=chat), [name])
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize("answer", ["yes", "no", "0", "1", "A", "B", "C"])
def test_a_constant_answer_scores_exactly_chance_or_fails(name, answer):
    outcome = judged(ConstantJudge(answer), name)
    assert outcome.failure or outcome.value == pytest.approx(JUDGED[name], abs=1e-12)
    fits = (
        {"yes", "no", "0", "1"}
        if name in ("detection", "fuzzing", "discrimination", "purity")
        else {"A", "B", "C"}
    )
    if answer in fits and name != "generative":
        assert not outcome.failure
        assert all(s.value == pytest.approx(JUDGED[name], abs=1e-12) for s in outcome.scores)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.sampled_from("01"), min_size=1, max_size=50))
def test_any_list_by_place_scores_exactly_chance(pattern):
    for name in ("detection", "fuzzing"):
        assert judged(ByPlace(pattern), name).value == pytest.approx(0.5, abs=1e-12)


@settings(max_examples=25)
@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=8))
def test_any_list_of_letters_scores_exactly_chance(pattern):
    assert judged(ByPlace(pattern), "intruder").value == pytest.approx(0.2, abs=1e-12)
    assert judged(ByPlace(pattern), "intervention").value == pytest.approx(1 / 3, abs=1e-12)


def test_a_writer_that_always_writes_the_same_scores_exactly_chance():
    texts = [f"a word{i} and an apple fell down" for i in range(20)]
    assert judged(ByPlace(texts), "generative").value == 0.5


GARBAGE = (
    "", "   ", "I cannot help with that.", "はい、いいえ、はい", "oui\nnon\noui", "1: ja\n2: nein", "[1, 0, 1]",
    "[" * 10000,
    "1: 1\n" * 50, "yes " * 20000, "\n".join(f"{i}: 1" for i in range(1, 500)), "1: 1\n2: 2", "null", "{}", "1: NaN",
    "\n".join(f"{i}: 1" for i in range(2, 52)), "\x00\x1b[31m", "\n".join(f"{51 - i}: 1" for i in range(1, 51)),
)  # fmt: skip


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_a_failure_and_never_a_score(name, text):
    outcome = judged(Fixed(text), name)
    assert outcome.failure
    assert outcome.scores == ()
    assert outcome.cost.calls >= 2


@pytest.mark.parametrize("name", JUDGED)
@settings(max_examples=25)
@given(text=st.text(max_size=400))
def test_no_text_whatever_is_taken_for_skill(name, text):
    outcome = judged(Fixed(text), name)
    assert outcome.failure or outcome.value == pytest.approx(JUDGED[name], abs=1e-12)
    assert all(math.isfinite(s.value) for s in outcome.scores)


@pytest.mark.parametrize("name", ["detection", "intruder"])
def test_an_answer_cut_off_is_a_failure(name):
    whole = ByPlace(["1", "0"]) if name == "detection" else ByPlace(["A"])

    class CutOff:
        def ask(self, request):
            return ChatAnswer(whole.ask(request).text, complete=False)

    assert "cut off" in judged(CutOff(), name).failure


def test_an_unreadable_answer_is_asked_for_again_in_halves_and_then_read():
    batch_sizes = []

    class Slow:
        def ask(self, request):
            batch_sizes.append(len(examples_in(request.user)))
            return ByPlace(["1", "0"]).ask(request) if batch_sizes[-1] <= 5 else ChatAnswer("what?")

    answers = ask_examples(
        Slow(), "detection", [f"text {i}" for i in range(10)], ("0", "1"), explanation="x"
    )
    assert batch_sizes == [10, 5, 5]
    assert [a.choice for a in answers] == [1, 0, 1, 0, 1] * 2


def test_a_failing_judge_is_counted_and_named():
    class Down:
        def ask(self, request):
            raise JudgeError("the server said 503")

    outcome = judged(Down(), "detection")
    assert "503" in outcome.failure
    assert outcome.cost == Cost(calls=1)
