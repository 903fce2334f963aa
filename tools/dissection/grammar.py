"""The printed form of concepts and predicates: ``strongly words("says", "said") - slightly
after(suffix("ing"))``.

A concept is a name with arguments in brackets: strings (as in JSON), whole numbers, other concepts.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from ..errors import UsageError
from .concepts import Concept, find_family

_TOKEN = re.compile(
    r'\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z_]+)|(-?\d+(?:\.\d+)?(?:e-?\d+)?)|([-+(),;]))'
)


class Lexeme(NamedTuple):
    """A piece of the printed form: ``kind`` is string, name, number or mark."""

    kind: str
    value: str


class FormulaParser:
    """Reads lexemes from left to right."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._lexemes = _lexemes(source)
        self._at = 0

    def peek(self, ahead: int = 0) -> Lexeme:
        at = self._at + ahead
        return self._lexemes[at] if at < len(self._lexemes) else Lexeme("end", "")

    def take(self, kind: str = "", value: str = "") -> Lexeme:
        lexeme = self.peek()
        if (kind and lexeme.kind != kind) or (value and lexeme.value != value):
            raise UsageError(
                f"expected {value or kind} but found {lexeme.value or 'the end'!r} in {self.source!r}"
            )
        self._at += 1
        return lexeme

    def concept(self) -> Concept:
        """name(argument, ...)"""
        cls = find_family(self.take("name").value)
        self.take("mark", "(")
        arguments: list[object] = []
        while self.peek().value != ")":
            if arguments:
                self.take("mark", ",")
            arguments.append(self._argument())
        self.take("mark", ")")
        return cls.from_arguments(*arguments)

    def _argument(self) -> object:
        lexeme = self.peek()
        if lexeme.kind == "string":
            return json.loads(self.take().value)
        if lexeme.kind == "number":
            return _whole(self.take().value, self.source)
        return self.concept()


def parse_concept(source: str) -> Concept:
    """A concept from its printed form; raises UsageError that says where it does not read."""
    reader = FormulaParser(source)
    concept = reader.concept()
    reader.take("end")
    return concept


def print_concept(concept: Concept) -> str:
    """The printed form of a concept."""
    return f"{concept.family}({', '.join(_print_argument(value) for value in concept.arguments())})"


def _print_argument(value: object) -> str:
    return (
        print_concept(value)
        if isinstance(value, Concept)
        else json.dumps(value, ensure_ascii=False)
    )


def _lexemes(source: str) -> list[Lexeme]:
    found, at = [], 0
    end = len(source.rstrip())
    while at < end:
        match = _TOKEN.match(source, at)
        if match is None:
            raise UsageError(f"cannot read {source[at : at + 20]!r} in {source!r}")
        kind = ("string", "name", "number", "mark")[(match.lastindex or 1) - 1]
        found.append(Lexeme(kind, match.group(match.lastindex or 1)))
        at = match.end()
    return found


def _whole(value: str, source: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise UsageError(f"expected a whole number but found {value!r} in {source!r}") from error
