"""A lexicon without its vectors: small enough to lie in every run's folder, enough to read that run's predicates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .concepts import Concept
from .concepts.near import NearWords
from .lexicon import Lexicon
from .predicate import Predicate


def freeze(lexicon: Lexicon, predicates: Iterable[str]) -> Lexicon:
    """A copy that keeps the strings and, of the vectors, only the words of the neighbourhoods that
    predicates name.

    Args:
        predicates: printed forms. They predict with the copy what they predict with the original, bit for bit.
    """
    kept: dict[str, list[str]] = {}
    for printed in predicates:
        for term in Predicate.parse(printed).terms:
            for concept in _inside(term.concept):
                if isinstance(concept, NearWords):
                    kept[concept.to_text()] = [lexicon.words[i] for i in concept.members(lexicon)]
    return Lexicon(lexicon.strings, None, kept)


def _inside(concept: Concept) -> Iterator[Concept]:
    yield concept
    for part in concept.parts():
        yield from _inside(part)
