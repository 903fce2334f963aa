"""A lexicon without its vectors and lexica, small enough to be kept in every run's folder with its predicates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import UsageError
from .concepts import Concept
from .lexicon import Lexicon
from .predicate import Predicate


def freeze(lexicon: Lexicon, predicates: Iterable[str]) -> Lexicon:
    """A copy with the strings and, in place of vectors and lexica, the members of some predicates' concepts.

    Args:
        predicates: printed forms. Their predictions with the copy equal those with the original,
            bit for bit.
    """
    neighbourhoods: dict[str, list[str]] = {}
    for concept in _concepts(predicates):
        try:
            members = concept.looked_up(lexicon)
        except UsageError:  # a lexicon that is not there: nothing was predicted with it, either
            continue
        if members is not None:
            neighbourhoods[concept.to_text()] = list(members)
    return Lexicon(lexicon.strings, None, neighbourhoods, lexicon.annotator)


def annotation_layers(predicates: Iterable[str]) -> list[str]:
    """The layers of a text's annotations that some printed predicates read."""
    layers = (layer for it in _concepts(predicates) for layer in it.annotation_layers())
    return sorted(set(layers))


def _concepts(predicates: Iterable[str]) -> Iterator[Concept]:
    for printed in predicates:
        for term in Predicate.parse(printed).terms:
            yield from with_parts(term.concept)


def with_parts(concept: Concept) -> Iterator[Concept]:
    """A concept and all concepts inside it."""
    yield concept
    for part in concept.parts():
        yield from with_parts(part)
