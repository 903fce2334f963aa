"""Ask a judge about many examples at once, cheaply, and believe only an answer that can be read.

1. The examples stand numbered in one prompt, behind a part that is the same for every unit
   (providers cache a prefix). They are quoted as data between two fence lines made from a hash of
   what stands between them, so that no text can hold its own fence, and the same question has the
   same words when a run is replayed.
2. The answer has a line an example, `number: choice`. Each number must be there exactly once and
   each choice be one of those offered. Other lines are passed over, within a limit of length.
3. An answer that cannot be read is asked for once more, in two halves. If a half cannot be read
   either, the score is a failure (`JudgeError`), never a guess: not "no", not zero.
4. Where the server gives log-probabilities of the choice's token, they become the weight of each
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
from .protocol import Chat, ChatAnswer, ChatRequest, JudgeError

PER_PROMPT = 50
"""Examples in one prompt at most. delphi puts 5: four fifths of its tokens are the repeated instruction."""
LINE = re.compile(r"^[\s*>-]*(\d+)\s*[:.)][\s*]*(.*?)[\s*.]*$")
"""`number: answer`, with the list marks that models like to add."""
_SYNONYMS = {"yes": "1", "no": "0", "true": "1", "false": "0"}


class JudgeChoice(NamedTuple):
    """What a judge said of one example."""

    choice: int
    """Index into the choices that were offered."""
    weights: tuple[float, ...] | None
    """Probability of each choice where the server tells, else None."""


class _UnreadableAnswer(Exception):
    """Why an answer cannot be read."""


def ask_examples(
    chat: Chat, prompt_name: str, examples: Sequence[str], choices: Sequence[str], **values: object
) -> list[JudgeChoice]:
    """One answer an example, in their order.

    Args:
        examples: one text each; a text of several lines is one example.
        choices: what may be answered, e.g. ``("0", "1")``.
        values: what the prompt expects beside count, fence and examples.

    Raises:
        JudgeError: an answer could not be read, nor its repetition.
    """
    prompt = load(prompt_name)
    try:
        return _ask(chat, prompt, examples, choices, values)
    except _UnreadableAnswer as first:
        half = max(1, (len(examples) + 1) // 2)
        parts = [part for part in (examples[:half], examples[half:]) if part]
        try:
            return [
                answer for part in parts for answer in _ask(chat, prompt, part, choices, values)
            ]
        except _UnreadableAnswer as second:
            raise JudgeError(
                f"{prompt.name}: the judge's answer cannot be read ({first}), nor when asked again ({second})"
            ) from None


def _ask(
    chat: Chat,
    prompt: Prompt,
    examples: Sequence[str],
    choices: Sequence[str],
    values: Mapping[str, object],
) -> list[JudgeChoice]:
    request = request_for(prompt, numbered(examples), len(examples), 16 + 8 * len(examples), values)
    return read_answers(chat.ask(request), len(examples), choices)


def numbered(examples: Sequence[str]) -> str:
    """``1. first`` and so on, one an example."""
    return "\n".join(f"{number}. {example}" for number, example in enumerate(examples, 1))


def request_for(
    prompt: Prompt,
    data: str,
    count: int,
    max_tokens: int,
    values: Mapping[str, object],
    logprobs: bool = True,
) -> ChatRequest:
    """A request whose examples are fenced in."""
    filled = prompt.fill(count=count, fence=fence_for(data), examples=data, **values)
    return ChatRequest(
        filled.system,
        filled.user,
        max_tokens,
        f"{prompt.label}#{prompt.sha256}",
        temperature=0.0,
        logprobs=logprobs,
    )


def fence_for(data: str) -> str:
    """A line that the data cannot hold: it is made from a hash of them."""
    fence, turn = "", 0
    while not fence or fence in data:
        fence = f"======== {hashlib.sha256(f'{turn}{data}'.encode('utf-8', 'surrogatepass')).hexdigest()[:12]} ========"
        turn += 1
    return fence


def read_answers(answer: ChatAnswer, count: int, choices: Sequence[str]) -> list[JudgeChoice]:
    """One answer for each number from 1 to ``count``; raises when the text is anything else."""
    if not answer.complete:
        raise _UnreadableAnswer("it was cut off or refused")
    if len(answer.text) > 400 + 24 * count:
        raise _UnreadableAnswer(f"{len(answer.text)} characters for {count} examples")
    found = _listed(answer.text, count) or _lines(answer.text)
    numbers = [number for number, _, _ in found]
    if numbers != list(range(1, count + 1)):
        raise _UnreadableAnswer(
            f"answers to {_shown(numbers)}, expected 1 to {count}, each once and in order"
        )
    places = _token_places(answer)
    return [_answer(said, at, choices, places) for _, said, at in found]


def _lines(text: str) -> list[tuple[int, str, int]]:
    """Number, choice and where the choice stands, of each line that looks like an answer."""
    found, offset = [], 0
    for line in text.splitlines(keepends=True):
        if match := LINE.match(line.rstrip("\r\n")):
            found.append((int(match[1]), match[2].strip("`'\" "), offset + match.start(2)))
        offset += len(line)
    return found


def _listed(text: str, count: int) -> list[tuple[int, str, int]]:
    """The same from a JSON list of as many answers, which some models prefer."""
    try:
        listed = json.loads(text.strip().removeprefix("```json").strip("`\n "))
    except (ValueError, RecursionError):
        return []
    if not isinstance(listed, list) or len(listed) != count:
        return []
    return [(number, str(said), -1) for number, said in enumerate(listed, 1)]


def _answer(
    said: str, at: int, choices: Sequence[str], places: Mapping[int, Mapping[str, float]]
) -> JudgeChoice:
    plain = _SYNONYMS.get(said.lower(), said)
    if plain not in choices:
        raise _UnreadableAnswer(f"{said[:40]!r} is none of {', '.join(choices)}")
    mass = [
        sum(exp(p) for token, p in places.get(at, {}).items() if token.strip() == choice)
        for choice in choices
    ]
    weights = tuple(part / sum(mass) for part in mass) if sum(mass) > 0 and min(mass) >= 0 else None
    return JudgeChoice(list(choices).index(plain), weights)


def _token_places(answer: ChatAnswer) -> dict[int, Mapping[str, float]]:
    """Where in the text each token that is no white space begins; nothing when the tokens do not add up to the text."""
    tokens = answer.logprobs or ()
    if "".join(token.text for token in tokens) != answer.text:
        return {}
    places, offset = {}, 0
    for token in tokens:
        places[offset + len(token.text) - len(token.text.lstrip())] = token.top
        offset += len(token.text)
    return places


def _shown(numbers: Sequence[int]) -> str:
    return f"{len(numbers)} examples" if len(numbers) != 1 else f"example {numbers[0]}"
