"""Reasoning is not an answer, whatever marks it; an answer that misses the point is a failure, never data."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from hubel.evals.judge.ask import ask_examples
from hubel.evals.judge.protocol import ChatAnswer, ChatRequest, JudgeError, TokenChoice
from hubel.evals.judge.reasoning import remove_reasoning, without_reasoning
from hubel.evals.scorers.generative import write_passages

DRAFT = "1: 1\n2: 1\n3: 1"
ANSWER = "1: 0\n2: 1\n3: 0"
CLOSED = {
    "think": f"<think>{DRAFT}</think>{ANSWER}",
    "notes": f"<think>\n1. look\n2. weigh\n3. answer\n</think>\n\n{ANSWER}",
    "thinking": f"<thinking>\n{DRAFT}\n</thinking>\n{ANSWER}",
    "reasoning": f"<reasoning effort='high'>{DRAFT}</reasoning>\n{ANSWER}",
    "capitals": f"<THINK>{DRAFT}</Think>\n{ANSWER}",
    "brackets": f"[THINK]{DRAFT}[/THINK]{ANSWER}",
    "seed": f"<seed:think>{DRAFT}</seed:think>{ANSWER}",
    "cohere": f"<|START_THINKING|>{DRAFT}<|END_THINKING|>{ANSWER}",
    "kimi": f"◁think▷{DRAFT}◁/think▷{ANSWER}",
    "harmony": f"<|channel|>analysis<|message|>{DRAFT}<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
    "harmony without tokens": f"analysisWe try {DRAFT}assistantfinal{ANSWER}",
    "opened by the template": f"First {DRAFT}\nso\n</think>\n{ANSWER}",
    "twice": f"<think>{DRAFT}</think>\n<think>again</think>\n{ANSWER}",
    "nested": f"<think>a <think>b</think>\n{DRAFT}</think>\n{ANSWER}",
    "empty": f"<think>\n\n</think>\n\n{ANSWER}",
    "preamble": f"Let me see. <think>{DRAFT}</think>\n{ANSWER}",
}
UNFINISHED = {
    "think": f"<think>{DRAFT}",
    "thinking": f"<thinking>\n{DRAFT}\n",
    "brackets": f"[THINK] {DRAFT}",
    "second": f"<think>x</think>\n<think>\n{DRAFT}",
    "after an answer": f"{ANSWER}\n<think>wait",
    "harmony": f"<|channel|>analysis<|message|>{DRAFT}",
    "harmony without tokens": f"analysisWe try\n{DRAFT}",
    "cohere": f"<|START_THINKING|>\n{DRAFT}",
}


class Says:
    """A judge that gives these answers in turn, the last one again and again."""

    def __init__(self, *answers: str | ChatAnswer) -> None:
        self._answers, self.asked = answers, 0

    def ask(self, request: ChatRequest) -> ChatAnswer:
        self.asked += 1
        answer = self._answers[min(self.asked, len(self._answers)) - 1]
        return ChatAnswer(answer) if isinstance(answer, str) else answer


def judged(
    *answers: str | ChatAnswer, examples: Sequence[str] = ("a b", "c d", "e f")
) -> list[int]:
    found = ask_examples(Says(*answers), "detection", examples, ("0", "1"), explanation="x")
    return [choice.choice for choice in found]


@pytest.mark.parametrize("text", CLOSED.values(), ids=list(CLOSED))
def test_closed_reasoning_is_removed(text: str) -> None:
    assert judged(text) == [0, 1, 0]
    assert remove_reasoning(text).answer.endswith(ANSWER)


@pytest.mark.parametrize("text", UNFINISHED.values(), ids=list(UNFINISHED))
def test_unfinished_reasoning_is_not_an_answer(text: str) -> None:
    assert remove_reasoning(text).unfinished
    with pytest.raises(JudgeError, match="cut off"):
        judged(text)


def test_marks_that_a_model_writes_about_are_text() -> None:
    for text in (
        '1.1 "<think>" 0\n1.2 " </think>" 3',
        '{"text": "he said \\"</think>\\""}',
        "a < b",
        "",
    ):
        found = remove_reasoning(text)
        assert (found.answer, found.removed) == (text, False)


def test_log_probabilities_stay_with_the_answer() -> None:
    tokens = [
        TokenChoice(text, {text: -0.1})
        for text in ("<think>", "1: 1", "</think>", "\n", "1", ": ", "0")
    ]
    answer = ChatAnswer("".join(token.text for token in tokens), logprobs=tokens)
    kept = without_reasoning(answer)
    assert kept.text == "1: 0"
    assert [token.text for token in kept.logprobs or ()] == ["1", ": ", "0"]


NOT_ANSWERS = {
    "nothing": "",
    "white space": " \n\n",
    "one constant": "1",
    "too few": "1: 1\n2: 0",
    "too many": f"{ANSWER}\n4: 1",
    "twice": f"{ANSWER}\n{ANSWER}",
    "another order": "2: 1\n1: 0\n3: 0",
    "from zero": "0: 1\n1: 0\n2: 1",
    "a number as a choice": "1: 2\n2: 0\n3: 1",
    "probabilities": "1: 0.9\n2: 0.1\n3: 0.5",
    "negative": "1: -1\n2: 0\n3: 1",
    "both": "1: 0 or 1\n2: 0\n3: 1",
    "prose with numbers": "Of 3 passages, 1 and 2 contain it: 1, and 3 does not: 0.",
    "notes and an answer": f"1. The first has it.\n2. The second too.\n3. No.\n{ANSWER}",
    "the question": "1. a b\n2. c d\n3. e f",
    "a list of the wrong length": "[1, 0]",
    "a list of lists": "[[1], [0], [1]]",
    "a list of nulls": "[null, null, null]",
    "an object": '{"1": 1, "2": 0, "3": 1}',
    "a number without end": "9" * 5000 + ": 1",
    "a refusal": "I cannot judge these passages.",
    "HTML": "<html><body>502</body></html>",
}


@pytest.mark.parametrize("text", NOT_ANSWERS.values(), ids=list(NOT_ANSWERS))
def test_what_is_not_an_answer_is_a_failure(text: str) -> None:
    with pytest.raises(JudgeError, match="cannot be read"):
        judged(text)


def test_an_answer_that_was_cut_off_is_a_failure_though_it_looks_whole() -> None:
    with pytest.raises(JudgeError, match="cut off"):
        judged(ChatAnswer(ANSWER, complete=False))


def test_an_answer_that_repeats_the_question_is_a_failure() -> None:
    class Echo:
        def ask(self, request: ChatRequest) -> ChatAnswer:
            return ChatAnswer(f"{request.user}\n{ANSWER}")

    with pytest.raises(JudgeError, match=r"repeats the question|characters"):
        ask_examples(Echo(), "detection", ["yes", "no", "1"], ("0", "1"), explanation="x")


def test_nothing_is_asked_about_no_examples() -> None:
    judge = Says("")
    assert ask_examples(judge, "detection", [], ("0", "1"), explanation="x") == []
    assert judge.asked == 0


def test_probabilities_without_the_answer_are_not_its_weights() -> None:
    tokens = [TokenChoice("1", {}), TokenChoice(": ", {}), TokenChoice("1", {"0": -0.01})]
    (choice,) = ask_examples(
        Says(ChatAnswer("1: 1", logprobs=tokens)), "detection", ["a"], ("0", "1"), explanation="x"
    )
    assert (choice.choice, choice.weights) == (1, None)


def test_a_writer_is_read_like_a_judge() -> None:
    lines = "\n".join(f"{n}: the cat {n} sat on a mat" for n in range(1, 4))
    assert len(write_passages(Says(f"<think>1: draft of a passage</think>{lines}"), "x", 3)) == 3
    for text in (f"<think>{lines}", lines.replace("3:", "9" * 5000 + ":"), json.dumps(lines)):
        with pytest.raises(JudgeError):
            write_passages(Says(text), "x", 3)
