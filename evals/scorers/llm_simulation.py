"""LLM simulation: a language model predicts the activation at every token from the explanation.

Bills, Cammarata, Mossing et al. 2023, "Language models can explain neurons in language models".
They read the expected value of each prediction from the prompt's log-probabilities, which chat
servers no longer give. So all predictions are requested at once, as a structured answer:

1. Texts: *random* is 30 random contexts of the split; *top_and_random* is the 5 with the strongest
   activation and 5 of the random ones.
2. Four contexts per prompt, one token per line: a number and the token. The model repeats both and
   adds an integer from 0 to 10, or from -10 to 10 for a target with two sides.
3. The answer is checked against the question token by token: every number once and in order, its
   token the same, its integer in range. If anything does not fit, each context is asked for again
   in a prompt of its own; then it is a failure (`JudgeError`).
4. If the server gives log-probabilities of the integer's tokens, their expected value replaces it
   (`Simulator.logprobs`): grades between integers, and close alternatives, count.
5. Score: Pearson r over all tokens that count, interval by documents, floors as in `simulation`, on
   the same contexts. A model that always answers the same scores exactly 0.

More than 30 contexts narrow the interval and cost more. Cost: 9 calls, 510 prompt tokens and 545
answer tokens per context (news text, as SmolLM2's tokenizer counts).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ...prompts import load
from ..floors import correlation_floors
from ..judge.ask import request_for, top_choices_by_offset
from ..judge.protocol import Chat, ChatAnswer, JudgeError, answer_each
from ..judge.reasoning import without_reasoning
from ..score import Score, Text
from ..statistics.bootstrap import bootstrap_r
from .registry import ScoringTask, scorer
from .resources import unscorable_without
from .simulation import TOP, top_and_random
from .windows import TokenText

CONTEXTS_PER_PROMPT = 4
"""About 250 lines to answer, which models still count correctly."""
TOKENS_PER_LINE = 16
"""Of an answer at most: two numbers, the token in quotes, and a grade."""
LARGEST = 10
_LINE = re.compile(r"^\s*(\d{1,6})\.(\d{1,6})[.:]?\s+(.*?)\s*[:=,]?\s*([-+]?\d{1,4})\s*$")


class _UnreadableSimulation(Exception):
    """Why an answer cannot be read."""


class _Token(NamedTuple):
    """A token as it is asked about: its numbers in the prompt, and its text."""

    context: int
    """From 1."""
    position: int
    text: str


@scorer("llm_simulation")
def llm_simulation(task: ScoringTask) -> list[Score]:
    """r of a language model's predictions, on random text and on the top-and-random mix."""
    if task.simulator is None:
        raise unscorable_without("a simulator: --simulator openai:MODEL or anthropic:MODEL")
    task.require_sentence()
    simulated = simulate_both_texts(task)
    return [_score(simulated.random, "random"), _score(simulated.mixed, "top_and_random")]


class SimulatedTasks(NamedTuple):
    """The task on the contexts of both texts, with the simulator's predictions."""

    random: ScoringTask
    mixed: ScoringTask


def simulate_both_texts(task: ScoringTask) -> SimulatedTasks:
    """Ask the simulator about all contexts that are scored.

    Raises:
        JudgeError: an answer could not be read, twice.
    """
    random, strongest = random_contexts(task), top_and_random(task.sample, seed=task.seed)[:TOP]
    mixed = np.concatenate([strongest, np.setdiff1d(random, strongest)[:TOP]])
    contexts = np.union1d(random, strongest)
    simulated = simulate_contexts(task, contexts)
    return SimulatedTasks(
        restrict(simulated, np.searchsorted(contexts, random)),
        restrict(simulated, np.searchsorted(contexts, mixed)),
    )


def random_contexts(task: ScoringTask) -> Int[np.ndarray, " chosen"]:
    """Contexts with a token that counts, drawn with the task's seed, in the order of the split."""
    usable = np.flatnonzero(task.sample.mask.any(axis=1))
    count = min(task.simulated_contexts, len(usable))
    return np.sort(np.random.default_rng([task.seed, 30]).choice(usable, count, replace=False))


def simulate_contexts(task: ScoringTask, contexts: Int[np.ndarray, " chosen"]) -> ScoringTask:
    """The task on these contexts alone, with the simulator's predictions instead of its own.

    Raises:
        JudgeError: an answer could not be read, twice.
    """
    assert task.simulator is not None
    restricted = restrict(task, contexts)
    two_sided = bool((task.sample.true < 0).any())
    question = _Question(task.simulator, task.sentence, -LARGEST if two_sided else 0)
    predicted = np.zeros_like(restricted.sample.true)
    numbers = range(len(contexts))
    prompts = [
        numbers[start : start + CONTEXTS_PER_PROMPT] for start in numbers[::CONTEXTS_PER_PROMPT]
    ]
    for part in answer_each(lambda rows: question.ask_with_retry(restricted.text, rows), prompts):
        for (row, position), value in part.items():
            predicted[row, position] = value
    sample = restricted.sample.with_prediction(predicted)
    return replace(restricted, sample=sample, predicts=True)


def restrict(task: ScoringTask, contexts: Int[np.ndarray, " chosen"]) -> ScoringTask:
    """The task on some of its contexts."""
    return replace(
        task,
        sample=task.sample.take(contexts),
        floor_predictions=task.floor_predictions.take(contexts),
        token_text=task.text.take(contexts),
        parts=None,  # the simulator reads the sentence as a whole
        seen=None if task.seen is None else task.seen[contexts],
    )


def _score(task: ScoringTask, text: Text) -> Score:
    r = bootstrap_r(task.sample, task.seed)
    floors = correlation_floors(task.sample, task.floor_predictions, task.seed)
    return Score("llm_simulation", task.split, text, *r, floors)


Predictions = Mapping[tuple[int, int], float]
"""Predicted activations by row and position."""


class _Question(NamedTuple):
    """The question that is the same for every context."""

    chat: Chat
    explanation: str
    lowest: int

    def ask_with_retry(self, text: TokenText, rows: Sequence[int]) -> Predictions:
        """Ask about several contexts at once and, if the answer is unreadable, about each alone.

        Raises:
            JudgeError: an answer about a single context is unreadable too.
        """
        try:
            return self._ask(text, rows)
        except _UnreadableSimulation as error:
            first_error = error
        note = "An earlier answer could not be read: give every line. "
        try:
            answers = answer_each(lambda row: self._ask(text, [row], note), rows)
        except _UnreadableSimulation as second_error:
            raise JudgeError(
                f"simulator: the answer cannot be read ({first_error}), "
                f"nor when asked again ({second_error})"
            ) from None
        return {place: value for answer in answers for place, value in answer.items()}

    def _ask(self, text: TokenText, rows: Sequence[int], note: str = "") -> Predictions:
        tokens = [
            _Token(number, position, json.dumps(token, ensure_ascii=False))
            for number, row in enumerate(rows, 1)
            for position, token in enumerate(text.tokens_of(row, 0, int(text.length[row])))
        ]
        lines = "\n".join(f"{t.context}.{t.position + 1} {t.text}" for t in tokens)
        scale = f"{self.lowest} to {LARGEST}"
        if self.lowest < 0:
            scale += ", below 0 where the description says that it is suppressed"
        values = {"explanation": self.explanation, "scale": scale, "note": note}
        max_tokens = TOKENS_PER_LINE * len(tokens)
        request = request_for(load("simulator"), lines, len(tokens), max_tokens, values)
        answer = without_reasoning(self.chat.ask(request))
        predictions = read_predictions(answer, tokens, self.lowest)
        keys = [(rows[token.context - 1], token.position) for token in tokens]
        return dict(zip(keys, predictions, strict=True))


def read_predictions(answer: ChatAnswer, tokens: Sequence[_Token], lowest: int) -> list[float]:
    """The prediction for each token, in order; raises if the answer is anything else."""
    if not answer.complete:
        raise _UnreadableSimulation("it was cut off or refused")
    # No line of a proper answer is that long; a longer text is not a list.
    if len(answer.text) > 200 + 120 * len(tokens):
        raise _UnreadableSimulation(f"{len(answer.text)} characters for {len(tokens)} tokens")
    lines = _parse_lines(answer.text)
    if len(lines) != len(tokens):
        raise _UnreadableSimulation(f"{len(lines)} predictions for {len(tokens)} tokens")
    choices = top_choices_by_offset(answer)
    predictions = []
    for line, token in zip(lines, tokens, strict=True):
        _check(line, token, lowest)
        predictions.append(_expected_value(choices.get(line.offset, {}), lowest, line.value))
    return predictions


class _SimulatedLine(NamedTuple):
    number: tuple[int, int]
    token: str
    value: int
    offset: int
    """Where the value begins in the text."""


def _parse_lines(text: str) -> list[_SimulatedLine]:
    lines, offset = [], 0
    for line in text.split("\n"):
        if match := _LINE.match(line):
            number = int(match[1]), int(match[2])
            lines.append(_SimulatedLine(number, match[3], int(match[4]), offset + match.start(4)))
        offset += len(line) + 1
    return lines


def _check(line: _SimulatedLine, token: _Token, lowest: int) -> None:
    expected = (token.context, token.position + 1)
    if line.number != expected or _unquoted(line.token) != _unquoted(token.text):
        raise _UnreadableSimulation(
            f"line {line.number[0]}.{line.number[1]} {line.token[:40]} where {expected} is due"
        )
    if not lowest <= line.value <= LARGEST:
        raise _UnreadableSimulation(f"{line.value} is not within {lowest} and {LARGEST}")


def _unquoted(token: str) -> str:
    return token.strip().strip('"').strip()


def _expected_value(log_probs: Mapping[str, float], lowest: int, value: int) -> float:
    """The mean of the integers that could have been answered here, weighted by their probabilities.

    Without log-probabilities it is the answer. So it is for a number below 0, or one that the model
    writes in two tokens, since no single token has its probability.
    """
    mass = {
        int(token): exp(log_prob)
        for token, log_prob in log_probs.items()
        if re.fullmatch(r"\s*\d{1,2}\s*", token) and lowest <= int(token) <= LARGEST
    }
    if value < 0 or value not in mass:
        return float(value)
    return sum(number * p for number, p in mass.items()) / sum(mass.values())
