"""The interface of concepts, and the registry of their families.

A concept is a frozen value: a family name and a few arguments, all of them strings, whole numbers
or other concepts. From these follow its printed form (``suffix("ing")``), its English (``-ing``),
and where it holds in a text. To add a family, add a file to this folder that registers its class.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from math import log2
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from ...errors import UsageError
from ..lexicon import Lexicon
from ..text_view import TextView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jaxtyping import Bool, Int
    from scipy.sparse import csr_matrix

    CandidateRows = tuple[Sequence["Concept"], csr_matrix]
    """Concepts, and a row of 0 and 1 over the kept positions for each."""

C = TypeVar("C", bound="Concept")
FAMILIES: dict[str, type[Concept]] = {}
TEXT_BITS = 14.0
"""Of a word or token: one of some 16,000 that occur in a text."""
NUMBER_BITS = 4.0
FAMILY_BITS = 5.0
"""Which family it is: one of some 30."""
GRADE_BITS = log2(2 * 3)
"""A sign, and one of the three degrees that a search uses."""


@dataclass(frozen=True)
class Concept:
    """Something that holds or does not hold at each position of a text."""

    family: ClassVar[str] = ""
    text_bits: ClassVar[float] = TEXT_BITS
    """Of a string among its arguments: log2 of how many there are to choose from."""

    def mask(self, text: TextView) -> Bool[np.ndarray, "contexts seq"]:
        """Where it holds; this may depend on a position and the ones before it, never later ones."""
        raise NotImplementedError

    def phrase(self) -> str:
        """A noun phrase, e.g. ``numbers`` or ``words like squad/team``."""
        raise NotImplementedError

    def adjective(self) -> str:
        """The phrase as an adjective before another one (``capitalised``), or ""."""
        return ""

    def contextual(self) -> bool:
        """Whether its phrase says where a token is (``after "mr"``) rather than what it is."""
        return False

    def noun(self) -> str:
        """The phrase as it can be read alone: ``words after "mr"``."""
        return f"words {self.phrase()}" if self.contextual() else self.phrase()

    def literals(self) -> tuple[str, ...]:
        """The tokens and words that its phrase lists."""
        return tuple(literal for part in self.parts() for literal in part.literals())

    def names_tokens(self) -> bool:
        """Whether it can hold only at tokens that it lists itself, so that it decides no unseen word."""
        return False

    def annotation_layers(self) -> tuple[str, ...]:
        """The layers of a text's annotations that it reads itself, apart from its parts."""
        return ()

    def bits(self) -> float:
        """Length of its arguments in bits: of a string ``text_bits``, of a number NUMBER_BITS."""
        bits = {int: NUMBER_BITS, str: self.text_bits}
        own = sum(bits.get(type(value), 0.0) for value in self.arguments())
        return own + sum(FAMILY_BITS + part.bits() for part in self.parts())

    def parts(self) -> tuple[Concept, ...]:
        """Concepts inside this one."""
        return tuple(value for value in self.arguments() if isinstance(value, Concept))

    def atoms(self) -> int:
        """How many concepts it counts as; a wrapper such as ``after`` counts as its content."""
        return max(1, sum(part.atoms() for part in self.parts()))

    def arguments(self) -> tuple[object, ...]:
        """Its arguments in the order of the printed form."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @classmethod
    def from_arguments(cls, *arguments: object) -> Concept:
        """A concept from parsed arguments; raises UsageError if they do not fit."""
        try:
            return cls(*arguments)
        except TypeError as error:
            raise UsageError(f"{cls.family}(...) does not take {arguments!r}: {error}") from error

    def looked_up(self, lexicon: Lexicon) -> Iterable[str] | None:
        """The members that a frozen lexicon must list for it; None if it looks nothing up."""
        return None

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        """Concepts that a search over this text should try, with roughly ``least`` positions or more."""
        return ()

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> CandidateRows | None:
        """The same all at once, with the kept positions where each holds; None: one by one."""
        del text, keep, least
        return None

    def to_text(self) -> str:
        """The printed form, which ``grammar.parse_concept`` parses."""
        arguments = (
            value.to_text() if isinstance(value, Concept) else json.dumps(value, ensure_ascii=False)
            for value in self.arguments()
        )
        return f"{self.family}({', '.join(arguments)})"


@dataclass(frozen=True)
class TokenClass(Concept):
    """A concept that depends on a position's own token only: a class of the vocabulary."""

    def holds(self, lexicon: Lexicon, ids: Int[np.ndarray, "k"]) -> Bool[np.ndarray, "k"]:
        """Which of these token ids are members."""
        raise NotImplementedError

    def mask(self, text: TextView) -> Bool[np.ndarray, "contexts seq"]:
        # Listed words are too many to keep; the rest are tests of strings, which take long.
        if self.literals():
            return text.at_positions(self.holds(text.lexicon, text.types))
        members = text.memo(self, lambda: self.holds(text.lexicon, text.types))
        return text.at_positions(members)


def concept_bits(concept: Concept) -> float:
    """Length of a concept as a term of a formula: its family, arguments, degree and sign."""
    return FAMILY_BITS + concept.bits() + GRADE_BITS


def family(name: str) -> Callable[[type[C]], type[C]]:
    """Decorator: register a concept class under the name of its printed form."""

    def register(cls: type[C]) -> type[C]:
        if name in FAMILIES:
            raise UsageError(
                f"two families of concepts are called {name!r}: "
                f"{FAMILIES[name].__name__}, {cls.__name__}"
            )
        cls.family = name
        FAMILIES[name] = cls
        return cls

    return register


def find_family(name: str) -> type[Concept]:
    """The class of a family; for an unknown one, raises UsageError that lists all."""
    if name not in FAMILIES:
        raise UsageError(
            f"no family of concepts is called {name!r}; there are {', '.join(sorted(FAMILIES))}"
        )
    return FAMILIES[name]


def require(condition: bool, message: str) -> None:
    """Raise UsageError unless the condition holds; for the arguments of a concept."""
    if not condition:
        raise UsageError(message)


def text_arguments(values: tuple[object, ...], name: str) -> tuple[str, ...]:
    """The arguments, which must be one or more non-empty strings."""
    require(
        bool(values) and all(isinstance(v, str) and v for v in values),
        f"{name} takes words in quotes: {values!r}",
    )
    return tuple(str(value) for value in values)
