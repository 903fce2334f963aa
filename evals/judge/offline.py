"""Judges that need no network: scripted, constant, or none at all (the predicate decides).

    predicate          no chat: each scorer takes the same decision from the predicate's prediction
    scripted:FILE      answers from a file, for tests and demonstrations
    constant:TEXT      always the same answer; "yes" and "no" are repeated for every example

A script is JSON: a list of answers, given in turn, or a list of ``{"match": "words", "answer":
"text"}``: the first whose words occur in the request answers it. A script without an answer is a
judge that fails.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...tools.errors import UsageError
from ...tools.files.settings_file import parse_settings, read_settings_text
from .protocol import Chat, ChatAnswer, ChatRequest, JudgeError, Usage

KNOWN = "predicate, scripted:FILE, constant:TEXT"
_COUNT = re.compile(r"1 to (\d+)\.\s*$")


class ScriptedJudge:
    """Answers from a list, in turn or by words that a request must contain."""

    def __init__(self, script: Sequence[str | Mapping[str, str]], name: str = "scripted") -> None:
        self.name = name
        self._script = list(script)
        self._turn = 0
        self._lock = threading.Lock()

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The script's answer; JudgeError if it has none."""
        with self._lock:
            return _answer(request, self._text(f"{request.system}\n{request.user}"))

    def _text(self, request: str) -> str:
        for entry in self._script:
            if isinstance(entry, Mapping) and entry["match"] in request:
                return entry["answer"]
        turns = [entry for entry in self._script if isinstance(entry, str)]
        if self._turn >= len(turns):
            raise JudgeError(
                f"the script of {self.name} has no answer to this request (call {self._turn + 1})"
            )
        self._turn += 1
        return turns[self._turn - 1]


class ConstantJudge:
    """Always the same answer: a letter, digit, yes or no for each example, other text once."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The constant, for each of the numbered examples of the request."""
        count = _COUNT.search(request.user)
        text = self.answer
        if count and re.fullmatch(r"yes|no|[01]|[A-Z]", self.answer):
            choice = {"yes": "1", "no": "0"}.get(self.answer, self.answer)
            text = "\n".join(f"{number}: {choice}" for number in range(1, int(count[1]) + 1))
        return _answer(request, text)


def _answer(request: ChatRequest, text: str) -> ChatAnswer:
    prompt_words = count_words(request.system) + count_words(request.user)
    return ChatAnswer(text, usage=Usage(prompt_words, count_words(text)))


def count_words(text: str) -> int:
    """What these judges count as tokens: words and punctuation marks."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def offline_judge(spec: str) -> Chat | None:
    """A judge by its name on the command line; None for ``predicate``.

    Raises:
        UsageError: the judge is unknown, or its script cannot be read.
    """
    kind, _, rest = spec.partition(":")
    if spec == "predicate":
        return None
    if kind == "constant" and rest:
        return ConstantJudge(rest)
    if kind == "scripted" and rest:
        return ScriptedJudge(read_script(Path(rest)), spec)
    raise UsageError(f"no judge {spec!r}; known: {KNOWN}")


def read_script(path: Path) -> list[str | Mapping[str, str]]:
    """A script's answers; a UsageError says what is wrong with it."""
    text = read_settings_text(path, f"no script at {str(path)!r}")
    script = parse_settings(text, f"the script {path}", is_json=True)
    if not isinstance(script, list) or not all(_is_entry(entry) for entry in script):
        raise UsageError(
            f'the script {path} must be a list of answers, or of {{"match": ..., "answer": ...}}'
        )
    return script


def _is_entry(entry: object) -> bool:
    if isinstance(entry, dict):
        return set(entry) == {"match", "answer"} and all(
            isinstance(value, str) for value in entry.values()
        )
    return isinstance(entry, str)
