"""How the demo model judges, simulates and writes: by the words of the description.

1. The words are those in quotes in the description.
2. A passage (or its marked parts, if it has some) contains one of them or not; a token is one of them
   or not.
3. Of lettered passages, it chooses the one whose marked words occur least in the others.
4. Passages are sentences around the words.

The answers have the requested form; how good they are does not matter here.
"""

from __future__ import annotations

import json
import re

_DATA = re.compile(r"^(=+ \w+ =+)\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)
_TOKEN = re.compile(r'^(\d+\.\d+) (".*")$', re.MULTILINE)
_COUNT = re.compile(r"Answer with (\d+) lines")
_OPTIONS = re.compile(r"puzzles? of (\d+)")
_TO_WRITE = re.compile(r"Write (\d+) passages")
_NUMBERED = re.compile(r"^(\d+)\. ?", re.MULTILINE)
_LETTERED = re.compile(r"^([A-Z]): (.*)$", re.MULTILINE)
_MARKED = re.compile(r"<<(.*?)>>")
HIGH = 8
"""Grade of a token that the description names, of 10."""


def answer(question: str) -> str | None:
    """The answer to a question without tools; None if it is of no known kind."""
    description = question.partition("Description: ")[2].partition("\n")[0]
    words = {word.strip().lower() for word in re.findall(r'"([^"]+)"', description)}
    if question.startswith("Say: "):
        return question.removeprefix("Say: ")
    if to_write := _TO_WRITE.search(question):
        return _passages(int(to_write[1]), sorted(words) or ["something"])
    data, count = _DATA.search(question), _COUNT.search(question)
    if data is None or count is None:
        return None
    if tokens := _TOKEN.findall(data[2]):
        return "\n".join(f"{number} {token} {_grade(token, words)}" for number, token in tokens)
    examples = _NUMBERED.split(data[2])[2::2]
    if _OPTIONS.search(question):
        choices = [_odd_one(example) for example in examples]
    else:
        choices = [_has_one(example, words) for example in examples]
    return "\n".join(f"{number}: {choice}" for number, choice in enumerate(choices, 1))


def _passages(count: int, words: list[str]) -> str:
    lines = (
        f"{n}: On day {n} of the journey they spoke of {words[n % len(words)]} for a long time."
        for n in range(1, count + 1)
    )
    return "\n".join(lines)


def _grade(token: str, words: set[str]) -> int:
    return HIGH if json.loads(token).strip().lower() in words else 0


def _has_one(example: str, words: set[str]) -> str:
    read = " ".join(_MARKED.findall(example)) or example
    return "1" if words & set(re.findall(r"\w+", read.lower())) else "0"


def _odd_one(puzzle: str) -> str:
    """The letter of the passage whose marked words occur least often in the others."""
    marked = {
        letter: set(re.findall(r"\w+", " ".join(_MARKED.findall(text)).lower()))
        for letter, text in _LETTERED.findall(puzzle)
    }

    def shared(letter: str) -> int:
        return sum(
            len(marked[letter] & words) for other, words in marked.items() if other != letter
        )

    return min(marked, key=shared, default="A")
