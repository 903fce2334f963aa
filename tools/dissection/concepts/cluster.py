"""Clusters of the subject's embedding: ``cluster(1000, "rain", "snow", kind_of("weather"))``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UsageError
from ..lexicon import Lexicon
from ..text_view import TextView
from .base import Concept, TokenClass, family, require, text_arguments
from .lexical import no_rows
from .named_group import (
    SHOWN,
    frequent_first,
    group_phrase,
    named_groups,
    split_name,
    text_words,
)
from .word_clusters import CLUSTERS, word_clusters

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from .base import CandidateRows


@family("cluster")
@dataclass(frozen=True, init=False)
class Cluster(TokenClass):
    """The words of the cluster that the first example is in, of ``count`` clusters, in any casing.

    Args:
        name: the class that most of them share, for its phrase.
    """

    count: int
    examples: tuple[str, ...]
    name: Concept | None

    def __init__(self, count: int, *arguments: object) -> None:
        require(
            count in CLUSTERS,
            f"cluster(...) is one of {', '.join(map(str, CLUSTERS))} clusters, not {count!r}",
        )
        examples, name = split_name(arguments)
        object.__setattr__(self, "count", count)
        object.__setattr__(self, "examples", text_arguments(examples, "cluster"))
        object.__setattr__(self, "name", name)

    def members(self, lexicon: Lexicon) -> Int[np.ndarray, "members"]:
        """Its words, as indices into ``lexicon.words``; a frozen lexicon lists them."""

        def find() -> np.ndarray:
            frozen = lexicon.neighbourhoods.get(self.to_text())
            if frozen is not None:
                return np.array(lexicon.ids_of_words(frozen), dtype=np.int64)
            clusters = word_clusters(lexicon)
            word = lexicon.word_ids.get(self.examples[0])
            label = clusters[self.count][word] if clusters and word is not None else -1
            if label < 0:
                raise UsageError(f"no cluster of words has {self.examples[0]!r}")
            return np.flatnonzero(clusters[self.count] == label)

        return lexicon.memo(("cluster", self.count, self.examples), find)

    def looked_up(self, lexicon: Lexicon) -> list[str]:
        return [lexicon.words[i] for i in self.members(lexicon)]

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        return lexicon.are_of_words(ids, self.members(lexicon))

    def phrase(self) -> str:
        return group_phrase(self.examples, self.name)

    def arguments(self) -> tuple[object, ...]:
        return (self.count, *self.examples, *filter(None, [self.name]))

    def parts(self) -> tuple[Concept, ...]:
        return ()  # the name only says what it is

    def bits(self) -> float:
        return float(np.log2(self.count))

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> CandidateRows:
        """The clusters that have a name, and where they hold."""
        here = text_words(text, keep)
        clusters = word_clusters(text.lexicon) if here else {}
        if here is None or not clusters:
            return no_rows(keep)
        counts: list[int] = []
        groups: list[np.ndarray] = []
        for count, labels in clusters.items():
            of_words = labels[here.words]
            known = np.flatnonzero(of_words >= 0)
            by_label = known[np.argsort(of_words[known], kind="stable")]
            ends = np.cumsum(np.bincount(of_words[known], minlength=count))[:-1]
            split = [frequent_first(here, group) for group in np.split(by_label, ends)]
            groups += split
            counts += [count] * len(split)

        def make(i: int, name: Concept) -> Concept:
            shown = here.words[groups[i][:SHOWN]]
            return cls(counts[i], *(text.lexicon.words[w] for w in shown), name)

        return named_groups(here, groups, make, least)
