"""Neighbourhoods in the subject's embedding: ``near(40, "squad", "team")``, or with the class that
names one: ``near(12, "rain", kind_of("weather"))``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...errors import UsageError
from ..lexicon import Lexicon
from ..text_view import TextView
from .base import Concept, TokenClass, family, require, text_arguments
from .lexical import no_rows
from .named_group import group_phrase, named_groups, split_name, text_words
from .wordclass import content_words
from .words import quoted

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from .base import CandidateRows

SEARCHED = (12, 40)
"""Reaches of the neighbourhoods that a search tries: of the larger ones few have a name."""
CENTRES_AT_ONCE = 256
ROUNDING = 2e-6
"""Cosines that are nearer than this may come in another order if they are computed in another way;
of 1.8 million, the largest difference was 7e-7."""
NEAR_BITS = 12.0
"""Of a word that occurs a few times in a text."""
REACHES = {12: "much like", 40: "like", 120: "somewhat like", 360: "vaguely like"}


@family("near")
@dataclass(frozen=True, init=False)
class NearWords(TokenClass):
    """The ``reach`` words whose vectors are nearest to the examples' centroid, in any casing.

    Args:
        name: the class that most of them share, for its phrase. With a name, function words and
            pieces of words are left out.
    """

    reach: int
    examples: tuple[str, ...]
    name: Concept | None

    def __init__(self, reach: int, *arguments: object) -> None:
        require(
            reach in REACHES,
            f"near(...) reaches {', '.join(map(str, REACHES))} words, not {reach!r}",
        )
        examples, name = split_name(arguments)
        object.__setattr__(self, "reach", reach)
        object.__setattr__(self, "examples", text_arguments(examples, "near"))
        object.__setattr__(self, "name", name)

    def members(self, lexicon: Lexicon) -> np.ndarray:
        """Its words, nearest first, as indices into ``lexicon.words``.

        A frozen lexicon knows only the neighbourhoods that it was frozen with.
        """

        def find() -> np.ndarray:
            frozen = lexicon.neighbourhoods.get(self.to_text())
            if lexicon.vectors is None and frozen is not None:
                return np.array([lexicon.word_ids[word] for word in frozen])
            allowed = content_words(lexicon)[lexicon.map_words] if self.name else None
            rows = nearest_rows(lexicon, self.examples, self.reach, allowed)
            return lexicon.map_words[rows]

        return lexicon.memo((self.examples, self.reach, self.name is None), find)

    def looked_up(self, lexicon: Lexicon) -> list[str]:
        return [lexicon.words[i] for i in self.members(lexicon)]

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        return lexicon.are_of_words(ids, self.members(lexicon))

    def phrase(self) -> str:
        if self.name:
            return group_phrase(self.examples, self.name)
        return f"words {REACHES[self.reach]} {'/'.join(quoted(word) for word in self.examples)}"

    def literals(self) -> tuple[str, ...]:
        return () if self.name else self.examples

    def arguments(self) -> tuple[object, ...]:
        return (self.reach, *self.examples, *filter(None, [self.name]))

    def parts(self) -> tuple[Concept, ...]:
        return ()  # the name only says what it is

    def bits(self) -> float:
        # The name follows from the rest.
        return NEAR_BITS * len(self.examples) + float(np.log2(len(REACHES)))

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> CandidateRows:
        """The neighbourhoods of this text's words that have a name, and where they hold."""
        lexicon = text.lexicon
        here = text_words(text, keep)
        if here is None or lexicon.vectors is None:
            return no_rows(keep)
        near = list(neighbourhoods(lexicon, here.words[here.counts >= least]))
        groups = [here.row[neighbourhood.words] for neighbourhood in near]

        def make(i: int, name: Concept) -> Concept:
            return cls(near[i].reach, lexicon.words[near[i].centre], name)

        return named_groups(here, [group[group >= 0] for group in groups], make, least)


class Neighbourhood(NamedTuple):
    """The words nearest to one word, as indices into ``Lexicon.words``."""

    reach: int
    centre: int
    words: Int[np.ndarray, "reach"]


def neighbourhoods(lexicon: Lexicon, centres: Int[np.ndarray, "n"]) -> Iterator[Neighbourhood]:
    """The neighbourhoods of some content words among content words, of each reach of SEARCHED."""
    allowed = content_words(lexicon)[lexicon.map_words]
    words, vectors = lexicon.map_words[allowed], lexicon.map[allowed]
    row = np.full(len(lexicon.words), -1, dtype=np.int64)
    row[words] = np.arange(len(words))
    most = min(max(SEARCHED) + 1, len(words))
    for start in range(0, len(centres), CENTRES_AT_ONCE):
        block = centres[start : start + CENTRES_AT_ONCE]
        similarities = vectors[row[block]] @ vectors.T
        for centre, similarity in zip(block.tolist(), similarities, strict=True):
            nearest = np.argpartition(-similarity, most - 1)[:most]
            nearest = nearest[np.argsort(-similarity[nearest], kind="stable")]
            for reach in SEARCHED:
                inside_and_next = similarity[nearest[reach - 1 : reach + 1]]
                found = words[nearest[:reach]]
                if len(inside_and_next) == 2 and -np.diff(inside_and_next)[0] < ROUNDING:
                    example = (lexicon.words[centre],)
                    found = lexicon.map_words[nearest_rows(lexicon, example, reach, allowed)]
                yield Neighbourhood(reach, centre, found)


def nearest_rows(
    lexicon: Lexicon,
    examples: tuple[str, ...],
    reach: int,
    allowed: Bool[np.ndarray, "rows"] | None = None,
) -> np.ndarray:
    """Rows of ``lexicon.map`` of the nearest words, nearest first (ties: the more frequent word).

    Args:
        allowed: rows that may be among them; by default all.
    """
    similar = lexicon.map @ centroid(lexicon, examples)
    if allowed is not None:
        similar = np.where(allowed, similar, -np.inf)
    if len(similar) > reach:  # sort only those that can be among them
        near = np.flatnonzero(similar >= np.partition(similar, -reach)[-reach])
        return near[np.argsort(-similar[near], kind="stable")][:reach]
    return np.argsort(-similar, kind="stable")[:reach]


def centroid(lexicon: Lexicon, examples: tuple[str, ...]) -> np.ndarray:
    """The mean of some words' vectors; raises UsageError if one has none."""
    rows = [
        lexicon.map_row_of_word[lexicon.word_ids[word]] if word in lexicon.word_ids else -1
        for word in examples
    ]
    if min(rows) < 0:
        raise UsageError(
            f"no neighbourhood for {examples!r}: "
            "each must be a single-token word of letters, lower case"
        )
    return lexicon.map[rows].mean(axis=0)
