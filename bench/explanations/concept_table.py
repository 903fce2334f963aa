"""Where all concepts hold on explore and on holdout, as two sparse matrices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...tools.dissection.candidates import CandidateMatrix, zero_one_matrix

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from scipy.sparse import csr_matrix

    from ...tools.dissection.concepts import Concept
    from .figures import HeldOutText


@dataclass(frozen=True)
class ConceptTable:
    """Where concepts hold on explore and on holdout.

    Attributes:
        explore, holdout: concept x position that counts, 1 where the concept holds.
        fold, word_fold, half: of each position of explore, by its document, its word, its document.
        is_unseen: positions of holdout whose token type explore never has.
        vectors: embedding of the token at each position of explore and of holdout, if there is one.
    """

    explore: csr_matrix
    holdout: csr_matrix
    fold: Int[np.ndarray, " explore"]
    word_fold: Int[np.ndarray, " explore"]
    half: Int[np.ndarray, " explore"]
    is_unseen: Bool[np.ndarray, " holdout"]
    vectors: tuple[Float[np.ndarray, "explore d"], Float[np.ndarray, "holdout d"]] | None

    @classmethod
    def of(
        cls,
        candidates: CandidateMatrix,
        chosen: Iterable[Concept],
        text: HeldOutText,
        half_of_context: Int[np.ndarray, " context"],
    ) -> ConceptTable:
        """The table of the candidates and of what formulas chose besides."""
        from scipy.sparse import csr_matrix, vstack

        known = set(candidates.concepts)
        extra = [c for c in dict.fromkeys(chosen) if c not in known and not c.names_tokens()]
        more = zero_one_matrix(
            (np.flatnonzero(candidates.column(c)) for c in extra), len(candidates)
        )
        keep = text.holdout.mask
        held = (
            np.flatnonzero(concept.mask(text.text)[keep])
            for concept in (*candidates.concepts, *extra)
        )
        explore_tokens, tokens = text.explore.tokens[candidates.keep], text.holdout.tokens[keep]
        vectors = text.lexicon.vectors
        return cls(
            csr_matrix(vstack([candidates.rows, more])),
            zero_one_matrix(held, int(keep.sum())),
            candidates.fold,
            candidates.word_fold,
            np.asarray(half_of_context)[np.nonzero(candidates.keep)[0]],
            ~np.isin(tokens, explore_tokens),
            None if vectors is None else (vectors[explore_tokens], vectors[tokens]),
        )

    def often(self, least: int) -> ConceptTable:
        """The concepts that hold at so many positions of explore or more."""
        chosen = np.flatnonzero(np.diff(self.explore.indptr) >= least)
        return replace(self, explore=self.explore[chosen], holdout=self.holdout[chosen])
