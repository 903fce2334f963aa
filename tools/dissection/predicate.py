"""The predicate: a weighted sum of concepts that runs, prints, reads back, and says itself as a
sentence.

1. Each term is a concept with a grade (each twice the one before: faintly 1 to extremely 16) and a
   sign.
2. The prediction at a position is the sum over the terms that hold there, times a step, plus a rest
   level. Step and rest give it the unit's scale; correlation does not depend on them.
3. The sentence names the same terms with the same grade words, so that both are one formula.

After compositional explanations (Mu & Andreas 2020, arXiv 2006.14032) and semantic regexes (arXiv
2510.06378).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import UsageError
from .concepts import Concept
from .formula_english import formula_english, word_count
from .grammar import FormulaParser
from .lexicon import Lexicon
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

GRADES = {"faintly": 1, "slightly": 2, "moderately": 4, "strongly": 8, "extremely": 16}
MAX_CONCEPTS, MAX_LITERALS, MAX_WORDS = 12, 24, 40
NOTHING = "nothing"


@dataclass(frozen=True)
class WeightedConcept:
    """A concept, how much it counts (a word of GRADES), and its sign."""

    concept: Concept
    grade: str
    sign: int = 1

    def __post_init__(self) -> None:
        if self.grade not in GRADES or self.sign not in (1, -1):
            raise UsageError(
                f"a grade is one of {', '.join(GRADES)} with sign 1 or -1, not {self.grade!r}, {self.sign!r}"
            )

    @property
    def weight(self) -> int:
        """Signed number of steps."""
        return self.sign * GRADES[self.grade]


class WrittenTerm(NamedTuple):
    """A term as somebody wrote it: the grade is empty where none was given."""

    concept: Concept
    grade: str
    sign: int


class Why(NamedTuple):
    """One term that holds at a position: its English and what it adds there."""

    phrase: str
    adds: float


@dataclass(frozen=True)
class Predicate:
    """A formula over concepts within the limits of the contract.

    Args:
        terms: at most 12 concepts and 24 listed literals in all, each concept once.
        step: activation that one grade step is worth; larger than 0.
        rest: activation where no term holds.
    """

    terms: tuple[WeightedConcept, ...] = ()
    step: float = 1.0
    rest: float = 0.0

    def __post_init__(self) -> None:
        problem = self.problem()
        if problem:
            raise UsageError(f"the formula is out of bounds: {problem}")

    def problem(self) -> str:
        """What breaks a limit, or an empty string."""
        if self.step <= 0:
            return f"step must be larger than 0, not {self.step!r}"
        return limit_problem(self.terms)

    def literals(self) -> tuple[str, ...]:
        """All listed tokens and words, repetitions included."""
        return tuple(lit for term in self.terms for lit in term.concept.literals())

    def predict(
        self,
        tokens: Int[np.ndarray, "contexts seq"],
        lexicon: Lexicon,
        length: Int[np.ndarray, "contexts"] | None = None,
    ) -> Float[np.ndarray, "contexts seq"]:
        """Predicted activation of every token; padding gets the rest level. Without ``length``, rows are full."""
        return self.predict_text(_text(tokens, lexicon, length))

    def predict_text(self, text: TextView) -> Float[np.ndarray, "contexts seq"]:
        """The same on a text that several predicates share."""
        steps = np.zeros(text.tokens.shape, dtype=np.float32)
        for term in self.terms:
            steps += term.weight * term.concept.mask(text)
        return np.float32(self.rest) + np.float32(self.step) * steps

    def fired(self, text: TextView) -> Bool[np.ndarray, "terms contexts seq"]:
        """Which term holds where."""
        masks = [term.concept.mask(text) for term in self.terms]
        return np.stack(masks) if masks else np.zeros((0, *text.tokens.shape), dtype=bool)

    def why(
        self,
        tokens: Int[np.ndarray, "contexts seq"],
        lexicon: Lexicon,
        context: int,
        position: int,
        length: Int[np.ndarray, "contexts"] | None = None,
    ) -> list[Why]:
        """The terms that hold at one position, strongest first."""
        rows = slice(context, context + 1)
        text = _text(np.asarray(tokens)[rows], lexicon, None if length is None else length[rows])
        held = [
            t for t, mask in zip(self.terms, self.fired(text), strict=True) if mask[0, position]
        ]
        return [
            Why(t.concept.phrase(), t.weight * self.step)
            for t in sorted(held, key=lambda t: -abs(t.weight))
        ]

    def sentence(self, lexicon: Lexicon | None = None) -> str:
        """The formula in English; an empty predicate says that it explains nothing."""
        return sentence_of(self.terms)

    def to_text(self) -> str:
        """The formula in the structured language; ``parse`` reads it back to an equal predicate."""
        terms = " ".join(
            f"{'+' if t.sign > 0 else '-'} {t.grade} {t.concept.to_text()}" for t in self.terms
        )
        return f"{terms.removeprefix('+ ') or NOTHING}; step {self.step!r}, rest {self.rest!r}"

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, text: str) -> Predicate:
        """From ``to_text``, or written by hand without ``; step ..., rest ...``. UsageError where it is off."""
        terms, step, rest = _read(text)
        for term in terms:
            if not term.grade:
                shown = term.concept.to_text()
                raise UsageError(
                    f"{shown} has no grade: write one of {', '.join(GRADES)} before it"
                )
        return cls(tuple(WeightedConcept(*term) for term in terms), step, rest)


def sentence_of(terms: Sequence[WeightedConcept]) -> str:
    """Terms in English."""
    return formula_english([(t.concept.phrase(), t.grade, t.sign) for t in terms], tuple(GRADES))


def limit_problem(terms: Sequence[WeightedConcept]) -> str:
    """Which limit of the contract these terms break, or an empty string."""
    concepts = [term.concept for term in terms]
    if sum(c.atoms() for c in concepts) > MAX_CONCEPTS:
        return f"{sum(c.atoms() for c in concepts)} concepts; at most {MAX_CONCEPTS}"
    listed = sum(len(c.literals()) for c in concepts)
    if listed > MAX_LITERALS:
        return f"{listed} listed words; at most {MAX_LITERALS}"
    if len(set(concepts)) < len(concepts):
        return "a concept stands in it twice"
    sentence = sentence_of(terms)
    words = word_count(sentence)
    return (
        f"said in English it has {words} words, at most {MAX_WORDS}: {sentence}"
        if words > MAX_WORDS
        else ""
    )


def _text(
    tokens: np.ndarray, lexicon: Lexicon, length: Sequence[int] | np.ndarray | None
) -> TextView:
    tokens = np.asarray(tokens)
    return TextView(
        tokens,
        np.full(len(tokens), tokens.shape[1]) if length is None else np.asarray(length),
        lexicon,
    )


def parse_terms(text: str) -> tuple[WrittenTerm, ...]:
    """The terms of a formula in which grades may be missing. UsageError where it is off."""
    return _read(text)[0]


def _read(text: str) -> tuple[tuple[WrittenTerm, ...], float, float]:
    """Terms, step and rest."""
    reader = FormulaParser(text)
    terms = _read_terms(reader)
    step, rest = _read_scale(reader)
    reader.take("end")
    return terms, step, rest


def _read_terms(reader: FormulaParser) -> tuple[WrittenTerm, ...]:
    terms: list[WrittenTerm] = []
    if reader.peek().value == NOTHING:
        reader.take()
        return ()
    while not terms or reader.peek().value in ("+", "-"):
        sign = -1 if reader.peek().value == "-" else 1
        if reader.peek().value in ("+", "-"):
            reader.take()
        grade = reader.take("name").value if reader.peek(1).kind == "name" else ""
        terms.append(WrittenTerm(reader.concept(), grade, sign))
    return tuple(terms)


def _read_scale(reader: FormulaParser) -> tuple[float, float]:
    if reader.peek().kind == "end":
        return 1.0, 0.0
    reader.take("mark", ";")
    reader.take("name", "step")
    step = float(reader.take("number").value)
    reader.take("mark", ",")
    reader.take("name", "rest")
    return step, float(reader.take("number").value)
