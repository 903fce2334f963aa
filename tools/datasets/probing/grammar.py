"""A small grammar of English: sentences with their trees."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal, NamedTuple

from .lexicon import (
    ADJECTIVES,
    ADVERBS,
    PEOPLE,
    PLACES,
    PREPOSITIONS,
    SAYING,
    VERBS,
    Noun,
    Verb,
)

Number = Literal["singular", "plural"]
Tense = Literal["past", "present"]
NUMBERS: tuple[Number, Number] = ("singular", "plural")


class Tree(NamedTuple):
    """A constituent, or with a word a part of speech."""

    label: str
    children: tuple[Tree, ...] = ()
    word: str = ""

    def leaves(self) -> Iterator[Tree]:
        """The parts of speech, from left to right."""
        if self.word:
            yield self
        for child in self.children:
            yield from child.leaves()

    def depth(self) -> int:
        """Nodes from here down to the deepest part of speech, both counted."""
        return 1 + max((child.depth() for child in self.children), default=0)

    def bracketed(self) -> str:
        """The tree as `(NP (DT the) (NN boy))`."""
        inside = self.word or " ".join(child.bracketed() for child in self.children)
        return f"({self.label} {inside})"

    def words(self) -> list[str]:
        """Its words, without punctuation."""
        return [leaf.word for leaf in self.leaves() if leaf.label != ","]

    def text(self) -> str:
        """As a sentence, with a capital and a full stop."""
        return as_sentence([leaf.word for leaf in self.leaves()])


def as_sentence(words: list[str]) -> str:
    """Words, with commas among them, written as a sentence."""
    text = " ".join(words).replace(" ,", ",")
    return f"{text[0].upper()}{text[1:]}."


def noun_phrase(
    draw: random.Random,
    number: Number | None = None,
    noun: Noun | None = None,
    *,
    modified: bool = True,
    depth: int = 2,
) -> Tree:
    """A noun phrase with up to two adjectives, and perhaps a place or a relative clause.

    Args:
        number: drawn if None; `noun`: a person if None.
        modified: whether something may follow the noun.
        depth: how many clauses and places may still be nested.
    """
    number = number or draw.choice(NUMBERS)
    noun = noun or draw.choice(PEOPLE)
    word = noun.singular if number == "singular" else noun.plural
    adjectives = draw.sample(ADJECTIVES, draw.choice((0, 0, 1, 1, 2, 2)))
    parts = [Tree("DT", word="the"), *(Tree("JJ", word=adjective) for adjective in adjectives)]
    parts.append(Tree("NN" if number == "singular" else "NNS", word=word))
    if modified and depth > 0:
        kind = draw.random()
        if kind < 0.2:
            parts.append(place(draw))
        elif kind < 0.35:
            clause = Tree("S", (verb_phrase(draw, number, depth=depth - 2),))
            parts.append(Tree("SBAR", (Tree("WDT", word="that"), clause)))
    return Tree("NP", tuple(parts))


def place(draw: random.Random) -> Tree:
    """Such as `near the house`."""
    where = noun_phrase(draw, "singular", draw.choice(PLACES), modified=False)
    # A place has at most one adjective: none of them was written for houses.
    without = Tree("NP", (where.children[0], where.children[-1]))
    return Tree("PP", (Tree("IN", word=draw.choice(PREPOSITIONS)), without))


def verb_form(verb: Verb, number: Number, tense: Tense) -> Tree:
    """The verb as it agrees with a subject."""
    if tense == "past":
        return Tree("VBD", word=verb.past)
    return Tree("VBZ", word=verb.singular) if number == "singular" else Tree("VBP", word=verb.base)


def verb_phrase(
    draw: random.Random,
    number: Number,
    tense: Tense = "past",
    verb: Verb | None = None,
    object_phrase: Tree | None = None,
    *,
    depth: int = 2,
) -> Tree:
    """A verb with its object, which may be a clause, and perhaps an adverb or a place."""
    parts: list[Tree] = []
    if draw.random() < 0.25:
        parts.append(Tree("ADVP", (Tree("RB", word=draw.choice(ADVERBS)),)))
    if verb is None and object_phrase is None and depth > 1 and draw.random() < 0.35:
        said = sentence(draw, tense, depth=depth - 2)
        parts += [verb_form(draw.choice(SAYING), number, tense)]
        parts += [Tree("SBAR", (Tree("IN", word="that"), said))]
        return Tree("VP", tuple(parts))
    parts.append(verb_form(verb or draw.choice(VERBS), number, tense))
    parts.append(object_phrase or noun_phrase(draw, depth=depth))
    if draw.random() < 0.2:
        parts.append(place(draw))
    return Tree("VP", tuple(parts))


def sentence(draw: random.Random, tense: Tense = "past", *, depth: int = 2) -> Tree:
    """A clause with subject, verb and object, all drawn."""
    number = draw.choice(NUMBERS)
    subject = noun_phrase(draw, number, depth=depth)
    return Tree("S", (subject, verb_phrase(draw, number, tense, depth=depth)))
