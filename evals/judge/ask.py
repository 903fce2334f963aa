"""Ask a judge about many examples at once, cheaply, and accept only an answer that can be read.

1. The examples are numbered in one prompt, after a part that is the same for every unit (providers
   cache a prefix). They are quoted as data between two fence lines made from a hash of the text
   between them: no text can contain its own fence, and a question has the same words when a run is
   replayed.
2. The answer has one line per example, `number: choice`. Each number must occur exactly once, and
   each choice must be one of those offered. Other lines are ignored, up to a limit of length.
3. An unreadable answer is asked for once more, in two halves. If a half cannot be read either, the
   score is a failure (`JudgeError`), never a guess: not "no", not zero.
4. If the server gives log-probabilities of the choice's token, they become the weight of each
   choice.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from math import exp
from typing import NamedTuple

from ...prompts import Prompt, load
from .protocol import Chat, ChatAnswer, ChatRequest, JudgeError, answer_each
from .reasoning import without_reasoning

LINE = re.compile(r"^[\s*>-]*(\d{1,6})\s*[:.)][\s*]*(.*?)[\s*.]*$")
"""`number: answer`, with the list marks that models like to add."""
_SYNONYMS = {"yes": "1", "no": "0", "true": "1", "false": "0"}


class JudgeChoice(NamedTuple):
    """A judge's answer about one example."""

    choice: int
    """Index into the choices that were offered."""
    weights: tuple[float, ...] | None
    """Probability of each choice, if the server gives log-probabilities."""


class _UnreadableAnswer(Exception):
    """Why an answer cannot be read."""


class _AnswerLine(NamedTuple):
    number: int
    choice: str
    offset: int
    """Where the choice begins in the text; -1 if it has no place of its own."""


def ask_examples(
    chat: Chat, prompt_name: str, examples: Sequence[str], choices: Sequence[str], **values: object
) -> list[JudgeChoice]:
    """One answer for each example, in their order.

    Args:
        examples: one text each; a text of several lines is one example.
        choices: the allowed answers, e.g. ``("0", "1")``.
        values: what the prompt needs besides count, fence and examples.

    Raises:
        JudgeError: an answer could not be read, twice.
    """
    if not examples:
        return []
    prompt = load(prompt_name)
    try:
        return _ask(chat, prompt, examples, choices, values)
    except _UnreadableAnswer as error:
        first_error = error
    half = max(1, (len(examples) + 1) // 2)
    parts = [part for part in (examples[:half], examples[half:]) if part]
    try:
        answers = answer_each(lambda part: _ask(chat, prompt, part, choices, values), parts)
    except _UnreadableAnswer as second_error:
        raise JudgeError(
            f"{prompt.name}: the judge's answer cannot be read ({first_error}), "
            f"nor when asked again ({second_error})"
        ) from None
    return [choice for part in answers for choice in part]


def _ask(
    chat: Chat,
    prompt: Prompt,
    examples: Sequence[str],
    choices: Sequence[str],
    values: Mapping[str, object],
) -> list[JudgeChoice]:
    # a line `12: 1` takes about 5 tokens
    max_tokens = 16 + 8 * len(examples)
    data = numbered(examples)
    request = request_for(prompt, data, len(examples), max_tokens, values)
    answer = without_reasoning(chat.ask(request))
    if fence_for(data) in answer.text:
        raise _UnreadableAnswer("it repeats the question")
    return read_answers(answer, len(examples), choices)


def numbered(examples: Sequence[str]) -> str:
    """``1. first`` and so on, one example per line."""
    return "\n".join(f"{number}. {example}" for number, example in enumerate(examples, 1))


def request_for(
    prompt: Prompt,
    data: str,
    count: int,
    max_tokens: int,
    values: Mapping[str, object],
    logprobs: bool = True,
) -> ChatRequest:
    """A request with its examples between fence lines."""
    filled = prompt.fill(count=count, fence=fence_for(data), examples=data, **values)
    label = f"{prompt.label}#{prompt.sha256}"
    return ChatRequest(filled.system, filled.user, max_tokens, label, logprobs=logprobs)


def fence_for(data: str, form: str = "======== {} ========", digits: int = 12) -> str:
    """A line that the data does not contain, made from a hash of the data.

    Prompts of judges and of explainers differ in form and digits; journals hold both.
    """
    turn = 0
    while True:
        digest = hashlib.sha256(f"{turn}{data}".encode("utf-8", "surrogatepass")).hexdigest()
        fence = form.format(digest[:digits])
        if fence not in data:
            return fence
        turn += 1


def read_answers(answer: ChatAnswer, count: int, choices: Sequence[str]) -> list[JudgeChoice]:
    """One answer for each number from 1 to ``count``; raises if the text is anything else."""
    if not answer.complete:
        raise _UnreadableAnswer("it was cut off or refused")
    # Room for a short preamble and some marks on each line; a longer text is not a list.
    if len(answer.text) > 400 + 24 * count:
        raise _UnreadableAnswer(f"{len(answer.text)} characters for {count} examples")
    lines = _parse_json_list(answer.text, count) or _parse_lines(answer.text)
    if [line.number for line in lines] != list(range(1, count + 1)):
        numbers = f"example {lines[0].number}" if len(lines) == 1 else f"{len(lines)} examples"
        raise _UnreadableAnswer(
            f"answers to {numbers}, expected 1 to {count}, each once and in order"
        )
    log_probs = top_choices_by_offset(answer)
    return [_read_choice(line, choices, log_probs.get(line.offset, {})) for line in lines]


def _parse_lines(text: str) -> list[_AnswerLine]:
    """The lines that look like an answer."""
    lines, offset = [], 0
    for line in text.splitlines(keepends=True):
        if match := LINE.match(line.rstrip("\r\n")):
            choice = match[2].strip("`'\" ")
            lines.append(_AnswerLine(int(match[1]), choice, offset + match.start(2)))
        offset += len(line)
    return lines


def _parse_json_list(text: str, count: int) -> list[_AnswerLine]:
    """The same from a JSON list of the right length, which some models prefer."""
    try:
        answers = json.loads(text.strip().removeprefix("```json").strip("`\n "))
    except (ValueError, RecursionError):
        return []
    if not isinstance(answers, list) or len(answers) != count:
        return []
    return [_AnswerLine(number, str(choice), -1) for number, choice in enumerate(answers, 1)]


def _read_choice(
    line: _AnswerLine, choices: Sequence[str], log_probs: Mapping[str, float]
) -> JudgeChoice:
    choice = _SYNONYMS.get(line.choice.lower(), line.choice)
    if choice not in choices:
        raise _UnreadableAnswer(f"{line.choice[:40]!r} is none of {', '.join(choices)}")
    mass = [
        sum(exp(log_prob) for token, log_prob in log_probs.items() if token.strip() == option)
        for option in choices
    ]
    chosen = list(choices).index(choice)
    # probabilities in which the answer itself does not occur belong to something else
    weights = tuple(part / sum(mass) for part in mass) if mass[chosen] > 0 else None
    return JudgeChoice(chosen, weights)


def top_choices_by_offset(answer: ChatAnswer) -> dict[int, Mapping[str, float]]:
    """Log-probabilities of the likeliest tokens, by where a token begins after its white space.

    Empty without log-probabilities, or if the tokens do not add up to the text.
    """
    tokens = answer.logprobs or ()
    if "".join(token.text for token in tokens) != answer.text:
        return {}
    choices, offset = {}, 0
    for token in tokens:
        choices[offset + len(token.text) - len(token.text.lstrip())] = token.top
        offset += len(token.text)
    return choices
