"""LLM simulation: a language model reads the explanation and predicts the activation at every token
of some contexts.

Bills, Cammarata, Mossing et al. 2023, "Language models can explain neurons in language models".
They read the expected value of each prediction from the prompt's log-probabilities, which chat
servers no longer give. So the whole is asked for at once, as a structured answer:

1. 30 contexts of the split at random (the text *random*); and for *top_and_random* the 5 with the
   strongest activation beside 5 of those.
2. Four contexts a prompt, each token on a line of its own: a number and the token. The model
   repeats both and adds an integer from 0 to 10, or from -10 to 10 for a target with two sides.
3. The answer is held against the question token by token: every number once and in order, its token
   the same, its integer in range. What does not fit is asked for again, a context a prompt; then it
   is a failure (`JudgeError`).
4. Where the server gives log-probabilities of the integer's tokens, the expected value takes its
   place: grades between whole numbers, and what the model holds for nearly as likely, count
   (`Simulator.logprobs`).
5. Score: Pearson r over all tokens that count, interval by documents, floors as in `simulation`, on
   the same contexts. A model that always says the same scores 0, exactly.

The interval is as wide as 30 contexts make it; more cost more. Cost: 9 calls, 510 prompt tokens and
545 answered ones a context (news text, as SmolLM2's tokenizer counts).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import exp
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ...prompts import load
from ..floors import correlation_floors
from ..judge.ask import request_for
from ..judge.protocol import Chat, ChatAnswer, JudgeError, Unscorable
from ..score import Score, Text
from ..statistics.bootstrap import bootstrap_r
from .decisions import one_line
from .registry import ScoringTask, scorer
from .resources import unscorable_without
from .simulation import TOP, top_and_random
from .windows import TokenText

PER_PROMPT = 4
"""Contexts in one prompt at most: about 250 lines to answer, which models still count rightly."""
TOKENS_A_LINE = 16
LARGEST = 10
_LINE = re.compile(r"^\s*(\d+)\.(\d+)[.:]?\s+(.*?)\s*[:=,]?\s*([-+]?\d+)\s*$")


class _UnreadableSimulation(Exception):
    """Why an answer cannot be read."""


class _Token(NamedTuple):
    """A token as it is asked about."""

    context: int
    place: int
    shown: str


@scorer("llm_simulation")
def llm_simulation(task: ScoringTask) -> list[Score]:
    """r of a language model's predictions, on random text and on the top-and-random mix."""
    if task.simulator is None:
        raise unscorable_without("a simulator: --simulator openai:MODEL or anthropic:MODEL")
    if not task.explanation.strip():
        raise Unscorable("there is no explanation in words")
    found = simulate_both_texts(task)
    return [_score(found.random, "random"), _score(found.mixed, "top_and_random")]


class SimulatedTasks(NamedTuple):
    """The task on the contexts of both texts, with the simulator's predictions."""

    random: ScoringTask
    mixed: ScoringTask


def simulate_both_texts(task: ScoringTask) -> SimulatedTasks:
    """Ask the simulator about all contexts that are scored.

    Raises:
        JudgeError: an answer could not be read, nor its repetition.
    """
    random, strongest = random_contexts(task), top_and_random(task.sample, seed=task.seed)[:TOP]
    contexts = np.union1d(random, strongest)
    found = simulate_contexts(task, contexts)
    mixed = np.concatenate([strongest, np.setdiff1d(random, strongest)[:TOP]])
    return SimulatedTasks(
        *(restrict(found, np.searchsorted(contexts, chosen)) for chosen in (random, mixed))
    )


def random_contexts(task: ScoringTask) -> Int[np.ndarray, " chosen"]:
    """Contexts with a token that counts, drawn with the task's seed, in the order of the split."""
    usable = np.flatnonzero(task.sample.mask.any(axis=1))
    count = min(task.simulated_contexts, len(usable))
    drawn = np.random.default_rng([task.seed, 30]).choice(usable, count, replace=False)
    return np.sort(drawn)


def simulate_contexts(task: ScoringTask, contexts: Int[np.ndarray, " chosen"]) -> ScoringTask:
    """The task on these contexts alone, with the simulator's predictions in the place of any other.

    Raises:
        JudgeError: an answer could not be read, nor its repetition.
    """
    chosen, question = restrict(task, contexts), _Question.about(task)
    predicted = np.zeros_like(chosen.sample.true)
    for start in range(0, len(contexts), PER_PROMPT):
        rows = range(start, min(start + PER_PROMPT, len(contexts)))
        for (row, place), value in question.ask_twice(chosen.text, rows).items():
            predicted[row, place] = value
    return replace(chosen, sample=chosen.sample.with_prediction(predicted), predicts=True)


def _score(task: ScoringTask, text: Text) -> Score:
    r = bootstrap_r(task.sample, task.seed)
    return Score(
        "llm_simulation",
        task.split,
        text,
        *r,
        correlation_floors(task.sample, task.floor_predictions, task.seed),
    )


def restrict(task: ScoringTask, rows: Int[np.ndarray, " chosen"]) -> ScoringTask:
    """The task on some of its contexts."""
    return replace(
        task,
        sample=task.sample.take(rows),
        floor_predictions=task.floor_predictions.take(rows),
        token_text=task.text.take(rows),
    )


Predictions = Mapping[tuple[int, int], float]
"""By row and place."""


class _Question(NamedTuple):
    """What is asked about every context."""

    chat: Chat
    explanation: str
    lowest: int

    @classmethod
    def about(cls, task: ScoringTask) -> _Question:
        assert task.simulator is not None
        two_sided = bool((task.sample.true < 0).any())
        return cls(task.simulator, one_line(task.explanation), -LARGEST if two_sided else 0)

    def ask_twice(self, printed: TokenText, rows: Sequence[int]) -> Predictions:
        """Predictions for some contexts; what cannot be read is asked for again, a context at a time."""
        try:
            return self._ask(printed, rows)
        except _UnreadableSimulation as error:
            first = error
        try:
            again = [
                self._ask(printed, [row], "An earlier answer could not be read: give every line. ")
                for row in rows
            ]
        except _UnreadableSimulation as second:
            raise JudgeError(
                f"simulator: the answer cannot be read ({first}), nor when asked again ({second})"
            ) from None
        return {key: value for found in again for key, value in found.items()}

    def _ask(self, printed: TokenText, rows: Sequence[int], note: str = "") -> Predictions:
        asked = [
            token for number, row in enumerate(rows, 1) for token in _tokens(printed, row, number)
        ]
        lines = "\n".join(f"{token.context}.{token.place + 1} {token.shown}" for token in asked)
        below = (
            ", below 0 where the description says that it is suppressed" if self.lowest < 0 else ""
        )
        values = {
            "explanation": self.explanation,
            "scale": f"{self.lowest} to {LARGEST}{below}",
            "note": note,
        }
        request = request_for(
            load("simulator"), lines, len(asked), TOKENS_A_LINE * len(asked), values
        )
        found = read_predictions(self.chat.ask(request), asked, self.lowest)
        return {
            (rows[token.context - 1], token.place): value
            for token, value in zip(asked, found, strict=True)
        }


def _tokens(printed: TokenText, row: int, number: int) -> Iterator[_Token]:
    for place, text in enumerate(printed.tokens_of(row, 0, int(printed.length[row]))):
        yield _Token(number, place, json.dumps(text, ensure_ascii=False))


def read_predictions(answer: ChatAnswer, asked: Sequence[_Token], lowest: int) -> list[float]:
    """A prediction a token, in their order; raises when the answer is anything else."""
    if not answer.complete:
        raise _UnreadableSimulation("it was cut off or refused")
    if len(answer.text) > 200 + 120 * len(asked):
        raise _UnreadableSimulation(f"{len(answer.text)} characters for {len(asked)} tokens")
    found = list(_lines(answer.text))
    if len(found) != len(asked):
        raise _UnreadableSimulation(f"{len(found)} predictions for {len(asked)} tokens")
    places = _places(answer)
    return [_checked(line, token, lowest, places) for line, token in zip(found, asked, strict=True)]


class _SimulatedLine(NamedTuple):
    number: tuple[int, int]
    token: str
    value: int
    at: int
    """Where the value stands in the text."""


def _lines(text: str) -> Iterator[_SimulatedLine]:
    offset = 0
    for line in text.split("\n"):
        if match := _LINE.match(line):
            number = int(match[1][:9]), int(match[2][:9])
            yield _SimulatedLine(number, match[3], int(match[4][:9]), offset + match.start(4))
        offset += len(line) + 1


def _checked(
    line: _SimulatedLine, token: _Token, lowest: int, places: Mapping[int, Mapping[str, float]]
) -> float:
    expected = (token.context, token.place + 1)
    if line.number != expected or _bare(line.token) != _bare(token.shown):
        raise _UnreadableSimulation(
            f"line {line.number[0]}.{line.number[1]} {line.token[:40]} where {expected} is due"
        )
    if not lowest <= line.value <= LARGEST:
        raise _UnreadableSimulation(f"{line.value} is not within {lowest} and {LARGEST}")
    return _expected(places.get(line.at, {}), lowest, line.value)


def _bare(token: str) -> str:
    return token.strip().strip('"').strip()


def _expected(top: Mapping[str, float], lowest: int, said: int) -> float:
    """The mean of the whole numbers that could have stood here, by their probabilities; without
    those, what was said.

    A number below 0, or one that the model writes in two tokens, has no such place and stays as it
    is.
    """
    mass = {
        int(t): exp(p)
        for t, p in top.items()
        if re.fullmatch(r"\s*\d{1,2}\s*", t) and lowest <= int(t) <= LARGEST
    }
    if said < 0 or said not in mass or (said == LARGEST and LARGEST not in mass):
        return float(said)
    return sum(value * p for value, p in mass.items()) / sum(mass.values())


def _places(answer: ChatAnswer) -> dict[int, Mapping[str, float]]:
    """Where in the text each token begins; nothing when the tokens do not add up to the text."""
    tokens = answer.logprobs or ()
    if "".join(token.text for token in tokens) != answer.text:
        return {}
    places: dict[int, Mapping[str, float]] = {}
    offset = 0
    for token in tokens:
        places[offset + len(token.text) - len(token.text.lstrip())] = token.top
        offset += len(token.text)
    return places
