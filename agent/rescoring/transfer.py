"""How far an explanation carries to another corpus: r by likeness to explore, and by kind of text.

1. The likeness of a document to explore is the mean of log2 q(t) over its tokens t, where q is the
   token's share of explore, with one added to each count of the vocabulary (Laplace). Minus that is
   the bits that a token of the document costs a reader who knows explore's token frequencies: the
   more bits, the less alike.
2. The documents in order of bits (ties in the corpus's order) are cut into thirds, equal in number
   to one document.
3. r over the tokens of each third, with its interval over documents, as in the scorer `simulation`;
   and over each kind of text, if the corpus has kinds. Nothing is given where the unit's activation
   is constant, as no prediction correlates with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float, Int

from ...evals.statistics.bootstrap import Interval, bootstrap_r
from ...evals.statistics.paired import mean_over_units
from ...evals.statistics.sample import Sample
from ...tools.index import Collected

THIRDS = ("most alike", "middle", "least alike")
By = Literal["likeness", "kind"]


@dataclass(frozen=True)
class TextPart:
    """Some documents of another corpus.

    Attributes:
        by: what they have in common: ``likeness`` to explore, or ``kind`` of text.
        name: ``most alike``, ``middle`` or ``least alike``; or the kind.
        bits: mean over the documents of the bits that a token costs under explore's frequencies.
    """

    by: By
    name: str
    documents: int
    bits: float


@dataclass(frozen=True)
class PartScore:
    """One explanation's r on a part; null where the unit's activation is constant."""

    part: TextPart
    value: float | None
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, Any]:
        """One flat row."""
        return {**asdict(self.part), "value": self.value, "low": self.low, "high": self.high}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        part = TextPart(row["by"], row["name"], row["documents"], row["bits"])
        return cls(part, row["value"], row["low"], row["high"])


@dataclass(frozen=True)
class PartMean:
    """A part's mean r over targets."""

    part: TextPart
    mean: Interval | None
    targets: int


class TextParts:
    """The parts of the text collected on another corpus.

    Args:
        vocabulary: number of tokens that there are.
    """

    def __init__(self, explore: Collected, other: Collected, vocabulary: int) -> None:
        self._explore, self._other, self._vocabulary = explore, other, vocabulary

    @cached_property
    def parts(self) -> list[tuple[TextPart, Int[np.ndarray, " context"]]]:
        """Each part with its contexts."""
        numbers, bits = self._document_bits()
        chosen: list[tuple[By, str, np.ndarray]] = []
        thirds = np.array_split(np.argsort(bits, kind="stable"), len(THIRDS))
        for name, third in zip(THIRDS, thirds, strict=True):
            chosen.append(("likeness", name, third))
        kinds = self._other.metadata.get("kinds") or {}  # older files do not record them
        of_document = np.array([kinds.get(str(number), "") for number in numbers])
        for kind in dict.fromkeys(kinds.values()):
            chosen.append(("kind", kind, np.flatnonzero(of_document == kind)))
        return [
            (
                TextPart(by, name, len(places), float(bits[places].mean())),
                np.flatnonzero(np.isin(self._other.document, numbers[places])),
            )
            for by, name, places in chosen
            if len(places)
        ]

    def _document_bits(
        self,
    ) -> tuple[Int[np.ndarray, " document"], Float[np.ndarray, " document"]]:
        """Numbers of the documents, and the mean bits of a token of each."""
        counts = np.bincount(self._explore.tokens[self._explore.mask], minlength=self._vocabulary)
        cost = -np.log2((counts + 1) / (counts + 1).sum())
        mask = self._other.mask
        of_context = np.where(mask, cost[self._other.tokens], 0.0).sum(axis=1)
        numbers, place = np.unique(self._other.document, return_inverse=True)
        return numbers, np.bincount(place, of_context) / np.bincount(place, mask.sum(axis=1))

    def score(self, sample: Sample, seed: int) -> list[PartScore]:
        """r of a prediction on each part.

        Args:
            sample: predicted and true signal on all of the text.
        """
        scores = []
        for part, contexts in self.parts:
            taken = sample.take(contexts)
            varies = np.ptp(taken.true[taken.mask]) > 0
            r = bootstrap_r(taken, seed) if varies else (None, None, None)
            scores.append(PartScore(part, *r))
        return scores


def mean_of_parts(scores: Sequence[Sequence[PartScore]]) -> list[PartMean]:
    """The mean over targets of each part.

    Args:
        scores: of each target.
    """
    values: dict[TextPart, list[float]] = {}
    for score in (score for of_target in scores for score in of_target):
        of_part = values.setdefault(score.part, [])
        if score.value is not None:
            of_part.append(score.value)
    return [PartMean(part, mean_over_units(rs), len(rs)) for part, rs in values.items()]
