"""The simulator that is a language model: one that knows scores like the truth, one that knows
nothing scores 0 or fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from math import log

import numpy as np
import pytest

from hubel.evals.judge.protocol import ChatAnswer, ChatRequest, JudgeError, TokenChoice
from hubel.evals.scorers.llm_simulation import (
    llm_simulation,
    random_contexts,
    restrict,
    simulate_contexts,
)
from hubel.evals.scorers.registry import SIMULATED_CONTEXTS, ScoringTask
from hubel.evals.scorers.score_all import score_all
from hubel.evals.scorers.simulation import score_simulation
from tests.support.fruit import make_task

_ASKED = re.compile(r"^(\d+\.\d+) (\".*\")$", re.MULTILINE)
KNOWN = {" apple": 10, " pear": 5}


class Reader:
    """Answers each token by a rule; `spoil` may change the lines."""

    def __init__(
        self,
        value: Callable[[str, int], int],
        spoil: Callable[[list[str], int], list[str]] = lambda lines, _: lines,
    ) -> None:
        self.value, self.spoil = value, spoil
        self.requests: list[ChatRequest] = []

    def ask(self, request: ChatRequest) -> ChatAnswer:
        self.requests.append(request)
        asked = _ASKED.findall(request.user)
        lines = [
            f"{n} {token} {self.value(json.loads(token), i)}" for i, (n, token) in enumerate(asked)
        ]
        return ChatAnswer("\n".join(self.spoil(lines, len(self.requests))))


def knows(token: str, _: int) -> int:
    return KNOWN.get(token, 0)


def with_reader(reader: object, **changes: object) -> ScoringTask:
    return replace(make_task(contexts=120), simulator=reader, **changes)  # type: ignore[arg-type]


def test_a_reader_that_knows_scores_as_the_right_predicate_does_on_the_same_contexts() -> None:
    reader = Reader(knows)
    task = with_reader(reader)
    random, mix = llm_simulation(task)
    expected = score_simulation(restrict(task, random_contexts(task)))
    assert (random.scorer, random.text, mix.text) == ("llm_simulation", "random", "top_and_random")
    assert random.value == pytest.approx(expected.value, abs=1e-9)
    assert random.low == pytest.approx(expected.low)
    assert random.floors.token_lookup == expected.floors.token_lookup
    assert mix.value > 0.99
    assert 9 <= len(reader.requests) <= 10


def test_a_constant_reader_scores_exactly_nothing() -> None:
    for value in (0, 7):
        scores = llm_simulation(with_reader(Reader(lambda token, place, value=value: value)))
        assert [score.value for score in scores] == [0.0, 0.0]


def test_a_reader_who_guesses_scores_about_nothing() -> None:
    rng = np.random.default_rng(0)
    random, _ = llm_simulation(with_reader(Reader(lambda token, place: int(rng.integers(0, 11)))))
    assert abs(random.value) < 0.1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines, _: [],
        lambda lines, _: ["I cannot do that."],
        lambda lines, _: lines[:-1],
        lambda lines, _: [*lines, lines[-1]],
        lambda lines, _: lines[::-1],
        lambda lines, _: [line.rsplit(" ", 1)[0] + " 11" for line in lines],
        lambda lines, _: [re.sub(r"\d+$", "high", line) for line in lines],
        lambda lines, _: [re.sub(r'"[^"]*"', '"banana"', line) for line in lines],
        lambda lines, _: [line.replace(".1 ", ".2 ", 1) for line in lines],
        lambda lines, _: [line * 100 for line in lines],
    ],
)
def test_what_does_not_fit_token_by_token_is_a_failure(
    spoil: Callable[[list[str], int], list[str]],
) -> None:
    with pytest.raises(JudgeError, match="cannot be read"):
        llm_simulation(with_reader(Reader(knows, spoil)))


def test_what_cannot_be_read_once_is_asked_for_again_a_context_at_a_time() -> None:
    reader = Reader(knows, lambda lines, call: lines[1:] if call == 1 else lines)
    random, _ = llm_simulation(with_reader(reader))
    assert random.value > 0.99
    assert "could not be read" in reader.requests[1].user
    assert reader.requests[1].user.count("\n1.") == 64


def test_lines_may_be_wrapped_in_words_and_tokens_lose_their_spaces() -> None:
    def chatty(lines: list[str], _: int) -> list[str]:
        return [
            "Here are the predictions:",
            "",
            *(re.sub(r'" ?([^"]*)"', r"\1", line) for line in lines),
        ]

    assert llm_simulation(with_reader(Reader(knows, chatty)))[0].value > 0.99


def test_two_sides_are_asked_for_on_both() -> None:
    task = make_task(contexts=120)
    sample = replace(task.sample, true=-task.sample.true)
    reader = Reader(lambda token, place: -knows(token, place))
    random, _ = llm_simulation(replace(task, sample=sample, simulator=reader))
    assert random.value > 0.99
    assert "-10 to 10" in reader.requests[0].user


def test_log_probabilities_give_expected_values() -> None:
    class Unsure(Reader):
        def ask(self, request: ChatRequest) -> ChatAnswer:
            text = super().ask(request).text
            tokens = []
            for piece in re.findall(r"\d+$|.+? (?=\d+$)|\n", text, re.MULTILINE):
                top = {"0": log(0.5), "4": log(0.25), "x": log(0.25)} if piece.isdigit() else {}
                tokens.append(TokenChoice(piece, top))
            assert "".join(token.text for token in tokens) == text
            return ChatAnswer(text, logprobs=tokens)

    task = with_reader(Unsure(lambda token, place: 0))
    predicted = simulate_contexts(task, random_contexts(task)[:2]).sample.predicted
    assert np.allclose(predicted[:, 1:], 4 * 0.25 / 0.75)


def test_without_a_simulator_or_a_sentence_there_is_nothing_to_score() -> None:
    (outcome,) = score_all(make_task(), ["llm_simulation"])
    assert "--simulator" in outcome.skipped
    (outcome,) = score_all(with_reader(Reader(knows), explanation=" "), ["llm_simulation"])
    assert outcome.skipped


def test_calls_are_counted_and_a_failure_is_no_score() -> None:
    (good,) = score_all(with_reader(Reader(knows)), ["llm_simulation"])
    assert good.cost.calls in (9, 10)
    (bad,) = score_all(with_reader(Reader(knows, lambda lines, _: [])), ["llm_simulation"])
    assert (bad.scores, bad.cost.calls) == ((), 2)
    assert bad.failure


def test_a_small_holdout_is_simulated_whole() -> None:
    task = with_reader(Reader(knows))
    assert len(random_contexts(task)) == SIMULATED_CONTEXTS
    few = restrict(task, np.arange(6))
    assert len(random_contexts(few)) == 6
    assert llm_simulation(few)[0].value > 0.9
