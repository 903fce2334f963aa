"""The predicate: a weighted sum of concepts that can be run, printed, parsed, and put into English.

1. Each term is a concept with a grade and a sign; each grade is twice the one before (faintly 1 to
   extremely 16).
2. The prediction at a position is the sum over the terms that hold there, times a step, plus a rest
   level. Step and rest put it on the unit's scale; correlation does not depend on them.
3. The sentence names the same terms with the same grade words, so that both are one formula.

After compositional explanations (Mu & Andreas 2020, arXiv 2006.14032) and semantic regexes (arXiv
2510.06378).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from .concepts import Concept
from .formula_english import MAX_WORDS, GradedPhrase, formula_english, word_count
from .grammar import NOTHING, parse_formula
from .lexicon import Lexicon
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Float, Int

GRADES = {"faintly": 1, "slightly": 2, "moderately": 4, "strongly": 8, "extremely": 16}
MAX_CONCEPTS, MAX_LITERALS = 12, 24


@dataclass(frozen=True)
class WeightedConcept:
    """A concept, its grade (a word of GRADES), and its sign."""

    concept: Concept
    grade: str
    sign: int = 1

    def __post_init__(self) -> None:
        if self.grade not in GRADES or self.sign not in (1, -1):
            raise UsageError(
                f"a grade is one of {', '.join(GRADES)} with sign 1 or -1, "
                f"not {self.grade!r}, {self.sign!r}"
            )

    @property
    def weight(self) -> int:
        """Signed number of steps."""
        return self.sign * GRADES[self.grade]


@dataclass(frozen=True)
class Predicate:
    """A formula over concepts within the contract's limits.

    Args:
        terms: at most 12 concepts and 24 listed literals in all, each concept once.
        step: activation that one grade step is worth; larger than 0.
        rest: activation where no term holds.
    """

    terms: tuple[WeightedConcept, ...] = ()
    step: float = 1.0
    rest: float = 0.0

    def __post_init__(self) -> None:
        problem = limit_problem(self.terms)
        if self.step <= 0:
            problem = f"step must be larger than 0, not {self.step!r}"
        if problem:
            raise UsageError(f"the formula is out of bounds: {problem}")

    def literals(self) -> tuple[str, ...]:
        """All listed tokens and words, with repetitions."""
        return tuple(literal for term in self.terms for literal in term.concept.literals())

    def predict(
        self,
        tokens: Int[np.ndarray, "contexts seq"],
        lexicon: Lexicon,
        length: Int[np.ndarray, "contexts"] | None = None,
    ) -> Float[np.ndarray, "contexts seq"]:
        """Predicted activation of every token, with the rest level on padding.

        Args:
            length: real tokens of each context; by default all.
        """
        tokens = np.asarray(tokens)
        if length is None:
            length = np.full(len(tokens), tokens.shape[1])
        return self.predict_text(TextView(tokens, np.asarray(length), lexicon))

    def predict_text(self, text: TextView) -> Float[np.ndarray, "contexts seq"]:
        """The same on a text that several predicates share."""
        steps = np.zeros(text.tokens.shape, dtype=np.float32)
        for term in self.terms:
            steps += term.weight * term.concept.mask(text)
        return np.float32(self.rest) + np.float32(self.step) * steps

    def sentence(self) -> str:
        """The formula in English; an empty predicate says that it explains nothing."""
        return sentence_of(self.terms)

    def to_text(self) -> str:
        """The formula's printed form; ``parse`` reads it back to an equal predicate."""
        terms = " ".join(
            f"{'+' if t.sign > 0 else '-'} {t.grade} {t.concept.to_text()}" for t in self.terms
        )
        return f"{terms.removeprefix('+ ') or NOTHING}; step {self.step!r}, rest {self.rest!r}"

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, text: str) -> Predicate:
        """The inverse of ``to_text``; step and rest may be left out. Raises UsageError."""
        formula = parse_formula(text)
        for term in formula.terms:
            if not term.grade:
                raise UsageError(
                    f"{term.concept.to_text()} has no grade: "
                    f"write one of {', '.join(GRADES)} before it"
                )
        terms = tuple(WeightedConcept(*term) for term in formula.terms)
        return cls(terms, formula.step, formula.rest)


def sentence_of(terms: Sequence[WeightedConcept]) -> str:
    """Terms in English."""
    phrases = [GradedPhrase(t.concept.phrase(), t.grade, t.sign) for t in terms]
    return formula_english(phrases, tuple(GRADES))


def limit_problem(terms: Sequence[WeightedConcept]) -> str:
    """The contract's limit that these terms exceed, or an empty string."""
    concepts = [term.concept for term in terms]
    atoms = sum(concept.atoms() for concept in concepts)
    if atoms > MAX_CONCEPTS:
        return f"{atoms} concepts; at most {MAX_CONCEPTS}"
    literals = sum(len(concept.literals()) for concept in concepts)
    if literals > MAX_LITERALS:
        return f"{literals} listed words; at most {MAX_LITERALS}"
    if len(set(concepts)) < len(concepts):
        return "it has a concept twice"
    sentence = sentence_of(terms)
    words = word_count(sentence)
    if words > MAX_WORDS:
        return f"in English it has {words} words, at most {MAX_WORDS}: {sentence}"
    return ""
