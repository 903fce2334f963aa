"""A program that replaces a language model, to try a run without an API key: it investigates as a
beginner would.

1. It counts the marked words in the strongest passages of either side, and proposes that the unit
   fires on those; a rival hypothesis is that it fires right after them.
2. It tests each word in a new sentence: + words fire on +; - words fire on - and stay silent on +.
3. It concludes if more predictions came true than failed, and gives up otherwise. A second look
   tries the words elsewhere.
4. Asked without tools, it judges, simulates and writes (`demo_judge`).

It reads only what a language model would be shown, and replies through the same tools.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from ...agent.llm.conversation import Reply, Request, ToolCall, ToolResults, UserMessage
from . import demo_judge

Call = tuple[str, dict[str, Any]]
_MARKED = re.compile(r"«([^»]*)»([5-9])")
_SECTION = re.compile(r"^\[r\d\] (?:strongest|middling) on side ([+-]):$")
_TALLY = re.compile(r"h1 (\d+) for (\d+) against")
_LISTED = re.compile(r"(?:^|([+-]) )\w+ words\(([^)]*)\)")
WORDS = 4


class DemoModel:
    """A `LanguageModel` that gives the same reply to the same request."""

    name = "openai:beginner"

    def reply(self, request: Request) -> Reply:
        """The next step of its plan, or the answer to a judge's question."""
        if not request.tools and (text := demo_judge.answer(_first(request))) is not None:
            return Reply(text, model="beginner")
        if {tool.name for tool in request.tools} == {"ready"}:  # the check before a run
            return speak([("ready", {})])
        if any(tool.name == "challenge" for tool in request.tools):
            return speak([("challenge", {"experiments": _challenges(_first(request))})])
        answers = [m for m in request.messages if isinstance(m, ToolResults)]
        plus, minus = _words(_first(request), "+"), _words(_first(request), "-")
        if not plus and not minus:
            return speak([("cannot_explain", {"reason": "no whole word is marked on either side"})])
        if not answers:
            return speak([("propose", {"hypotheses": _hypotheses(plus, minus)})])
        status = answers[-1].results[-1].text
        if not _TALLY.search(status):
            return speak([("experiment", {"experiments": _experiments(plus, minus)})])
        return speak([_end(status)])


def _first(request: Request) -> str:
    first = request.messages[0]
    return first.text if isinstance(first, UserMessage) else ""


def _words(evidence: str, side: str) -> list[str]:
    """Marked words of one side, the most frequent first."""
    counts: Counter[str] = Counter()
    here = ""
    for line in evidence.splitlines():
        if section := _SECTION.match(line):
            here = section[1]
        elif here == side:
            counts.update(
                token.strip().lower()
                for token, _ in _MARKED.findall(line)
                if token.strip().isalpha()
            )
    return [word for word, _ in counts.most_common(WORDS) if len(word) > 1]


def _hypotheses(plus: list[str], minus: list[str]) -> list[dict[str, Any]]:
    def quoted(words: list[str]) -> str:
        return ", ".join(f'"{w}"' for w in words)

    terms = [f"{sign} strongly words({quoted(w)})" for sign, w in (("+", plus), ("-", minus)) if w]
    parts = [
        f"{verb} {quoted(w)}" for verb, w in (("fires on", plus), ("suppressed by", minus)) if w
    ]
    listed = plus or minus
    sentence = "; ".join(parts)
    return [
        {
            "gist": f"{sentence[:1].upper()}{sentence[1:]}.",
            "predicate": " ".join(terms).removeprefix("+ "),
        },
        {
            "gist": f"Fires right after {quoted(listed)}.",
            "predicate": f"strongly after(words({quoted(listed)}))",
        },
    ]


def _experiments(plus: list[str], minus: list[str]) -> list[dict[str, Any]]:
    experiments = [
        _planned(word, f"Yesterday the reporter wrote {word}", "fires", "+") for word in plus[:2]
    ]
    experiments += [
        _planned(word, f"Yesterday the reporter wrote {word}", "fires", "-") for word in minus[:2]
    ]
    quiet = [(word, "+") for word in minus] + [(word, "-") for word in plus]
    experiments += [
        _planned(word, f"Nobody at the market knew {word}", "silent", side)
        for word, side in quiet[:2]
    ]
    return experiments


def _planned(word: str, text: str, predicts: str, side: str) -> dict[str, Any]:
    return {"hypothesis": "h1", "text": text, "focus": word, "predicts": predicts, "side": side}


def _challenges(claim: str) -> list[dict[str, Any]]:
    """The claim's words in another sentence, or a word that it does not name."""
    formula = claim.partition("which counts where they differ: ")[2].split("\n")[0]
    challenges = []
    for sign, listed in _LISTED.findall(formula):
        side = "-" if sign == "-" else "+"
        for word in json.loads(f"[{listed}]")[:2]:
            texts = {"text": f"In the kitchen lay a list: {word}", "focus": word}
            challenges.append(texts | {"predicts": "fires", "side": side})
            challenges.append(texts | {"predicts": "silent", "side": "-" if side == "+" else "+"})
    return challenges[:6] or [
        {"text": "In the kitchen lay a list", "predicts": "silent", "focus": "list"}
    ]


def _end(answer: str) -> Call:
    """Conclude, or give up."""
    tally = _TALLY.search(answer)
    won, lost = (int(tally[1]), int(tally[2])) if tally else (0, 0)
    if won <= lost:
        return "cannot_explain", {"reason": f"the words kept {won} predictions and failed {lost}"}
    return "conclude", {
        "hypothesis": "h1",
        "findings": f"The words kept {won} predictions and failed {lost}.",
    }


def speak(calls: list[Call]) -> Reply:
    """A reply that calls tools."""
    tool_calls = tuple(
        ToolCall(f"call_{i}", name, arguments, json.dumps(arguments, ensure_ascii=False))
        for i, (name, arguments) in enumerate(calls)
    )
    return Reply(calls=tool_calls, stop="tools", model="beginner")
