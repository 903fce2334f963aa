"""Remove a model's reasoning from its text, before anything reads the text.

Servers that do not separate a model's reasoning send it with the answer, between marks that differ
from model to model. Draft answers and tool calls in it are not the model's answer.

1. From an opening mark to its closing mark is reasoning: `<think>...</think>` and its relatives.
2. A closing mark without an opening one ends reasoning that the chat template began: everything
   before it is reasoning.
3. An opening mark without a closing one means that the text was cut off: it has no answer.
4. In the Harmony format only the channel `final` is the answer.

A mark in double quotes on its line does not count: the model writes about the word, as in a
simulator's line `1.4 "<think>" 0`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from .protocol import ChatAnswer, TokenChoice

_NAMES = (
    "think|thinking|thought|thoughts|reasoning|reason|reflection|scratchpad|analysis|seed:think"
    "|antml:thinking|internal_monologue|inner_monologue|monologue|deliberation|chain_of_thought|cot"
)
_OPENING = re.compile(
    rf"<(?:{_NAMES})(?:\s[^<>\n]{{0,80}})?>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|begin_of_thought\|>"
    r"|<\|thinking\|>|<\|think\|>|<unused94>|<\|channel>thought",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"</(?:{_NAMES})\s*>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_thought\|>"
    r"|<\|/thinking\|>|<\|/think\|>|<unused95>|<channel\|>",
    re.IGNORECASE,
)
LONGEST_LINE, MOST_MARKS = 4000, 1000
"""Characters of a line in which quotes are counted; marks in a text, above which it has no answer."""
_EMPTY = re.compile(rf"<(?:{_NAMES})\s*/>", re.IGNORECASE)
"""What some templates write for no reasoning."""
_CHANNEL = re.compile(
    r"<\|channel\|>\s*([a-z]+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>", re.IGNORECASE
)
_CHANNEL_MARK = re.compile(r"<\|channel\|>")
_CHANNEL_END = re.compile(r"<\|(?:return|end|call|start|channel)\|>")
_BARE_HARMONY = re.compile(r"\s*analysis(?=[A-Z\"'(])")
"""Harmony whose special tokens a server has dropped: "analysisWe need ...assistantfinal1: 1"."""
_BARE_FINAL = re.compile(r"assistant\s*final(?:\s*message)?\s*")


class WithoutReasoning(NamedTuple):
    """A text without its reasoning."""

    answer: str
    unfinished: bool = False
    """Whether the text ends within reasoning: it was cut off, and there is no answer."""
    removed: bool = False
    start: int = 0
    """Where the answer begins in the text, if it is the end of the text."""


def remove_reasoning(text: str) -> WithoutReasoning:
    """Remove the reasoning from a text."""
    if any(not _is_quoted(text, match.start()) for match in _CHANNEL_MARK.finditer(text)):
        return _harmony(text)
    if _BARE_HARMONY.match(text):
        final = _BARE_FINAL.search(text)
        if final is None:
            return WithoutReasoning("", unfinished=True, removed=True)
        return WithoutReasoning(text[final.end() :], removed=True, start=final.end())
    marks = sorted(
        [(m.start(), m.end(), kind) for kind, mark in _MARKS for m in mark.finditer(text)]
    )
    if not marks:
        return WithoutReasoning(text)
    if len(marks) > MOST_MARKS:
        return WithoutReasoning("", unfinished=True, removed=True)
    return _between_marks(text, [mark for mark in marks if not _is_quoted(text, mark[0])])


_MARKS = (("open", _OPENING), ("close", _CLOSING), ("empty", _EMPTY))


def _between_marks(text: str, marks: Sequence[tuple[int, int, str]]) -> WithoutReasoning:
    """The text outside of reasoning, of which the marks are in order."""
    if not marks:
        return WithoutReasoning(text)
    parts: list[str] = []
    place, depth = 0, 0
    for start, end, kind in marks:
        if depth == 0 and kind != "close":
            parts.append(text[place:start])
        if kind == "open":
            depth += 1
        elif kind == "close":
            if depth == 0:  # the template opened it: all so far was reasoning
                parts.clear()
            depth = max(0, depth - 1)
        if depth == 0:
            place = end
    if depth > 0:
        return WithoutReasoning("", unfinished=True, removed=True)
    before = "".join(parts).strip()
    rest = text[place:]
    start = place + len(rest) - len(rest.lstrip())
    if before:
        return WithoutReasoning(f"{before}\n{rest.lstrip()}", removed=True, start=len(text))
    return WithoutReasoning(text[start:], removed=True, start=start)


def _harmony(text: str) -> WithoutReasoning:
    """The channel `final`, the last one if there are several."""
    finals = [match for match in _CHANNEL.finditer(text) if match[1].lower() == "final"]
    if not finals:
        return WithoutReasoning("", unfinished=True, removed=True)
    start = finals[-1].end()
    ending = _CHANNEL_END.search(text, start)
    if ending is None:
        return WithoutReasoning(text[start:], removed=True, start=start)
    return WithoutReasoning(text[start : ending.start()], removed=True, start=len(text))


def _is_quoted(text: str, place: int) -> bool:
    """Whether a place is within double quotes on its line."""
    line = text[max(text.rfind("\n", 0, place) + 1, place - LONGEST_LINE) : place]
    return (line.count('"') - line.count('\\"')) % 2 == 1


def without_reasoning(answer: ChatAnswer) -> ChatAnswer:
    """An answer without its reasoning; incomplete if it ends within the reasoning."""
    found = remove_reasoning(answer.text)
    if not found.removed:
        return answer
    tokens = tokens_of_answer(answer.logprobs, answer.text, found)
    complete = answer.complete and not found.unfinished
    return replace(answer, text=found.answer, complete=complete, logprobs=tokens)


def tokens_of_answer(
    tokens: Sequence[TokenChoice] | None, text: str, found: WithoutReasoning
) -> Sequence[TokenChoice] | None:
    """The tokens of the answer alone; None if they are not known or do not add up to it."""
    if not tokens or not found.removed:
        return tokens
    if "".join(token.text for token in tokens) != text:
        return None
    offset = 0
    for number, token in enumerate(tokens):
        if offset >= found.start:
            kept = tokens[number:]
            return kept if "".join(t.text for t in kept) == found.answer else None
        offset += len(token.text)
    return None
