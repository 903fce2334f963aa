"""Parses the printed form of concepts and formulas:
``strongly words("says", "said") - slightly after(suffix("ing")); step 0.5, rest 0.1``.

A concept is a name with arguments in brackets: strings (as in JSON), whole numbers, other concepts.
A formula is a sum of graded concepts, or ``nothing``; step and rest may be left out. After
``except`` comes what corrects the term before: ``strongly prefix("pla") except strongly
prefix("plan")`` predicts as with ``-``. Its last term
may be a list of exact tokens with weights: ``list(" war" 12, " world" -3)``. Concepts and predicates
print themselves (``to_text``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from ..errors import UsageError
from ..files.untrusted_text import whole_characters
from .concepts import Concept, find_family

NOTHING, LIST, EXCEPT = "nothing", "list", "except"
_LEXEME = re.compile(
    r'\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z_]+)|(-?\d+(?:\.\d+)?(?:e-?\d+)?)|([-+(),;]))'
)
_EXPECTED = {
    "name": 'a concept such as `words("says")`',
    "number": "a number",
    "end": "`+`, `-` or `;`",
    "string": "a text in quotation marks",
    "mark": "a mark",
}
"""What is expected of a kind, for people."""


class Lexeme(NamedTuple):
    """A piece of the printed form: ``kind`` is string, name, number, mark or end."""

    kind: str
    value: str


class WrittenTerm(NamedTuple):
    """A term as a user or model wrote it; the grade is "" if it was left out."""

    concept: Concept
    grade: str
    sign: int
    is_exception: bool = False


class WrittenFormula(NamedTuple):
    """A parsed formula, with the default scale if it was left out."""

    terms: tuple[WrittenTerm, ...]
    step: float = 1.0
    rest: float = 0.0
    listed: tuple[tuple[str, int], ...] = ()
    """Exact tokens and their weights in steps."""


def parse_concept(source: str) -> Concept:
    """Parse a concept's printed form; raises UsageError that quotes what cannot be parsed."""
    parser = FormulaParser(source)
    concept = parser.concept()
    parser.take("end")
    return concept


def parse_formula(source: str) -> WrittenFormula:
    """Parse a formula, in which grades may be missing; raises UsageError like `parse_concept`."""
    parser = FormulaParser(source)
    formula = parser.formula()
    parser.take("end")
    return formula


class FormulaParser:
    """A recursive-descent parser; the methods take what they return from the front of the text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._lexemes = _lexemes(source)
        self._next = 0

    def peek(self, ahead: int = 0) -> Lexeme:
        """A coming lexeme, without taking it."""
        index = self._next + ahead
        return self._lexemes[index] if index < len(self._lexemes) else Lexeme("end", "")

    def take(self, kind: str = "", value: str = "", expected: str = "") -> Lexeme:
        """The next lexeme; raises UsageError unless it has the kind and value given.

        Args:
            expected: what a person should write there; by default the value or the kind.
        """
        lexeme = self.peek()
        if (kind and lexeme.kind != kind) or (value and lexeme.value != value):
            self._refuse(expected or (f"`{value}`" if value else _EXPECTED[kind]))
        self._next += 1
        return lexeme

    def _refuse(self, expected: str) -> NoReturn:
        """Raise the UsageError for what comes next."""
        found = self.peek().value
        if not found:
            raise UsageError(f"{expected} is missing at the end of {self.source!r}")
        raise UsageError(f"{expected} is missing before {found!r} in {self.source!r}")

    def concept(self) -> Concept:
        """name(argument, ...)"""
        cls = find_family(self.take("name").value)
        self.take("mark", "(")
        arguments: list[object] = []
        while self.peek().value != ")":
            if arguments:
                self.take("mark", ",", "`,` or `)`")
            elif self.peek().kind == "end":
                self._refuse("`)`")
            arguments.append(self._argument())
        self.take("mark", ")")
        return cls.from_arguments(*arguments)

    def _argument(self) -> object:
        kind = self.peek().kind
        if kind == "string":
            return whole_characters(json.loads(self.take().value))
        if kind != "number":
            return self.concept()
        return self._whole(self.take().value)

    def _whole(self, number: str) -> int:
        try:
            return int(number)
        except ValueError as error:
            raise UsageError(f"{number} is not a whole number, in {self.source!r}") from error

    def formula(self) -> WrittenFormula:
        """[sign] [grade] concept ... [; step number, rest number]"""
        terms: list[WrittenTerm] = []
        listed: tuple[tuple[str, int], ...] = ()
        if self.peek().value == NOTHING:
            self.take()
        else:
            while not (terms or listed) or self.peek().value in ("+", "-", EXCEPT):
                if LIST in (self.peek().value, self.peek(1).value):
                    listed = self._list()
                    break  # it is the last term
                terms.append(self._term(terms))
        if self.peek().kind == "end":
            return WrittenFormula(tuple(terms), listed=listed)
        self.take("mark", ";", "`+`, `-` or `;`")
        self.take("name", "step")
        step = float(self.take("number").value)
        self.take("mark", ",")
        self.take("name", "rest")
        return WrittenFormula(tuple(terms), step, float(self.take("number").value), listed)

    def _list(self) -> tuple[tuple[str, int], ...]:
        """[+] list("token" weight, ...)"""
        if self.peek().value != LIST:
            self.take("mark", "+")
        self.take("name", LIST)
        self.take("mark", "(")
        listed: list[tuple[str, int]] = []
        while not listed or self.peek().value == ",":
            if listed:
                self.take("mark", ",")
            token = whole_characters(json.loads(self.take("string").value))
            weight = self.take("number", expected="a weight").value
            listed.append((token, self._whole(weight)))
        self.take("mark", ")", "`,` or `)`")
        return tuple(listed)

    def _term(self, earlier: Sequence[WrittenTerm]) -> WrittenTerm:
        hosts = [term for term in earlier if not term.is_exception]
        sign, is_exception = 1, bool(hosts) and self.peek().value == EXCEPT
        if is_exception:
            self.take()
            sign = -hosts[-1].sign
        elif self.peek().value in ("+", "-"):
            sign = -1 if self.take().value == "-" else 1
        # Two names in a row are a grade and a concept.
        grade = self.take("name").value if self.peek(1).kind == "name" else ""
        return WrittenTerm(self.concept(), grade, sign, is_exception)


def _lexemes(source: str) -> list[Lexeme]:
    lexemes: list[Lexeme] = []
    start, end = 0, len(source.rstrip())
    while start < end:
        match = _LEXEME.match(source, start)
        if match is None:
            rest = source[start:].strip()
            if rest.startswith('"'):
                raise UsageError(
                    f"the quotation mark before {rest[1:21]!r} is not closed in {source!r}"
                )
            raise UsageError(f"{rest[:20]!r} in {source!r} belongs to no concept or formula")
        group = match.lastindex or 1
        kind = ("string", "name", "number", "mark")[group - 1]
        lexemes.append(Lexeme(kind, match.group(group)))
        start = match.end()
    return lexemes
