"""The predicate: a weighted sum of concepts that can be run, printed, parsed, and put into English.

1. Each term is a concept with a grade and a sign; each grade is twice the one before (faintly 1 to
   extremely 16).
2. Listed tokens are exact tokens with a weight each, in the same steps.
3. The prediction at a position is the sum over the terms that hold there and the weight of its
   token, times a step, plus a rest level. Step and rest put it on the unit's scale; correlation
   does not depend on them.
4. The terms that name a rule are the *meaning*: it also decides words never seen. What names exact
   tokens at the position itself is the *residue*.
5. The sentence names the same terms with the same amounts (`statement`), so that both are one
   formula.

After compositional explanations (Mu & Andreas 2020, arXiv 2006.14032) and semantic regexes (arXiv
2510.06378).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from .concepts import Concept
from .concepts.base import TEXT_BITS, concept_bits
from .grammar import EXCEPT, LIST, NOTHING, parse_formula
from .lexicon import Lexicon
from .statement import MAX_WORDS, Side, headline, headline_terms, statement, word_count
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Float, Int

GRADES = {"faintly": 1, "slightly": 2, "moderately": 4, "strongly": 8, "extremely": 16}
MAX_CONCEPTS, MAX_LITERALS = 12, 24
LISTED_BITS = TEXT_BITS + 5
"""A listed token's text, its sign and one of 16 weights."""


@dataclass(frozen=True)
class WeightedConcept:
    """A concept, its grade (a word of GRADES), and its sign.

    Args:
        is_exception: it corrects the last term before it that is no exception, whose sign is the
            other one, and claims nothing itself.
    """

    concept: Concept
    grade: str
    sign: int = 1
    is_exception: bool = False

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
class ListedToken:
    """An exact token and its weight, a number of steps other than 0."""

    token: str
    weight: int

    def __post_init__(self) -> None:
        if not self.token or not self.weight:
            raise UsageError(f"a listed token has a text and a weight, not {self.to_text()}")

    def to_text(self) -> str:
        """As the formula prints it: ``" war" 12``."""
        return f"{json.dumps(self.token, ensure_ascii=False)} {self.weight}"


@dataclass(frozen=True)
class Predicate:
    """A formula over concepts within the contract's limits.

    Args:
        terms: at most 12 concepts, each once; those of the headline first.
        step: activation that one grade step is worth; larger than 0.
        rest: activation where no term holds.
        listed: exact tokens, each once; with the terms' literals at most 24.
    """

    terms: tuple[WeightedConcept, ...] = ()
    step: float = 1.0
    rest: float = 0.0
    listed: tuple[ListedToken, ...] = ()

    def __post_init__(self) -> None:
        problem = _size_problem(self.terms, self.listed)
        if self.terms != _standing(self.terms):
            problem = "an exception has no term of the other sign before it"
        if self.step <= 0:
            problem = f"step must be larger than 0, not {self.step!r}"
        if problem:
            raise UsageError(f"the formula is out of bounds: {problem}")

    def literals(self) -> tuple[str, ...]:
        """All listed tokens and words, with repetitions."""
        return _literals(self.terms, self.listed)

    def meaning(self) -> Predicate:
        """The terms that name a rule, alone."""
        return Predicate(self._named(), self.step, self.rest)

    def residue(self) -> Predicate:
        """The exact tokens alone: those that are listed, and the terms that name some."""
        exact = _standing([term for term in self.terms if term.concept.names_tokens()])
        return Predicate(exact, self.step, 0.0, self.listed)

    def headline(self) -> Predicate:
        """What `headline_sentence` names: of the meaning's first three claims those that fit it."""
        return Predicate(tuple(headline_terms(self._named())), self.step, self.rest)

    def _named(self) -> tuple[WeightedConcept, ...]:
        return _standing([term for term in self.terms if not term.concept.names_tokens()])

    def bits(self) -> float:
        """Length of the formula: for each term its family, arguments, grade and sign; for each
        listed token the token and its weight."""
        of_terms = sum(concept_bits(term.concept) for term in self.terms)
        return of_terms + len(self.listed) * LISTED_BITS

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
        if self.listed:
            weights = np.zeros(len(text.types), dtype=np.float32)
            for token in self.listed:
                weights[text.lexicon.are_tokens(text.types, token.token)] = token.weight
            steps += np.where(text.real, weights[text.type_index], 0)
        return np.float32(self.rest) + np.float32(self.step) * steps

    def sentence(self, side: Side = "both") -> str:
        """The formula in English; an empty predicate says that it explains nothing.

        Args:
            side: of the target; a one-sided one has no other side.
        """
        return statement(self.terms, self.listed, side)

    def headline_sentence(self, side: Side = "both") -> str:
        """The strongest claims in at most 12 words: what `headline` predicts."""
        return headline(self._named(), bool(self.listed or self.terms), side)

    def to_text(self) -> str:
        """The formula's printed form; ``parse`` reads it back to an equal predicate."""
        parts = [f"{_operator(term)} {term.grade} {term.concept.to_text()}" for term in self.terms]
        if self.listed:
            parts.append(f"+ {LIST}({', '.join(token.to_text() for token in self.listed)})")
        terms = " ".join(parts)
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
        listed = tuple(ListedToken(token, weight) for token, weight in formula.listed)
        return cls(terms, formula.step, formula.rest, listed)


def _operator(term: WeightedConcept) -> str:
    if term.is_exception:
        return EXCEPT
    return "+" if term.sign > 0 else "-"


def _literals(terms: Sequence[WeightedConcept], listed: Sequence[ListedToken]) -> tuple[str, ...]:
    of_terms = tuple(literal for term in terms for literal in term.concept.literals())
    return of_terms + tuple(token.token for token in listed)


def limit_problem(terms: Sequence[WeightedConcept], listed: Sequence[ListedToken] = ()) -> str:
    """The contract's limit that a formula exceeds, or an empty string."""
    if problem := _size_problem(terms, listed):
        return problem
    sentence = statement(terms, listed)
    words = word_count(sentence)
    if words > MAX_WORDS:
        return f"in English it has {words} words, at most {MAX_WORDS}: {sentence}"
    return ""


def _size_problem(terms: Sequence[WeightedConcept], listed: Sequence[ListedToken]) -> str:
    """The same but for words, which depend on how a formula is put: older ones stay readable."""
    concepts = [term.concept for term in terms]
    atoms = sum(concept.atoms() for concept in concepts)
    if atoms > MAX_CONCEPTS:
        return f"{atoms} concepts; at most {MAX_CONCEPTS}"
    literals = len(_literals(terms, listed))
    if literals > MAX_LITERALS:
        return f"{literals} listed words; at most {MAX_LITERALS}"
    if len(set(concepts)) < len(concepts):
        return "it has a concept twice"
    if len({token.token for token in listed}) < len(listed):
        return "it lists a token twice"
    return ""


def _standing(terms: Sequence[WeightedConcept]) -> tuple[WeightedConcept, ...]:
    """The terms; an exception is a claim where what it corrects is not among them."""
    standing: list[WeightedConcept] = []
    host_sign = 0
    for term in terms:
        is_exception = term.is_exception and term.sign == -host_sign
        standing.append(replace(term, is_exception=is_exception))
        host_sign = host_sign if is_exception else term.sign
    return tuple(standing)
