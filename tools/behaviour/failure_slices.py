"""Failure slices: where a subject errs more often than elsewhere.

1. A candidate is a word that texts contain, or a value of a column (label, length, the data set's own).
2. Half of the groups, drawn at random, choose: of the candidates with enough groups there, those with
   the largest z of the difference in error between the slice and the rest.
3. The other half tells how large the difference is. Candidates were chosen without it, so an interval
   needs to be corrected for the chosen ones alone, and not for the thousands of words looked at.

Chung et al., "Slice Finder" (ICDE 2019) tests on the data that it searches; Eyuboglu et al., "Domino"
(ICLR 2022), for slices of embeddings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped

LEAST_GROUPS = 10
"""Of a slice in the half that chooses; the other half then has about as many."""
MOST_COMMON = 0.5
"""Share of the texts above which a word is no slice."""
_WORD = re.compile(r"[^\W\d_]+")


class WordsOfTexts(NamedTuple):
    """Which words are in which texts: word `words[number[i]]` is in text `text[i]`."""

    words: Shaped[np.ndarray, " word"]
    text: Int[np.ndarray, " entry"]
    number: Int[np.ndarray, " entry"]


class CandidateSlice(NamedTuple):
    """Some of the texts.

    Attributes:
        z: standardised difference in error to the rest, on the half that chooses.
    """

    name: str
    members: Bool[np.ndarray, " text"]
    z: float


def words_of_texts(texts: Sequence[str]) -> WordsOfTexts:
    """The words, in lower case, that at least two times `LEAST_GROUPS` texts and not most have."""
    held = [set(_WORD.findall(text.lower())) for text in texts]
    counts: dict[str, int] = {}
    for words in held:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    fewest, most = 2 * LEAST_GROUPS, MOST_COMMON * len(texts)
    kept = sorted(word for word, n in counts.items() if fewest <= n <= most)
    number = {word: place for place, word in enumerate(kept)}
    entries = [
        (row, number[word])
        for row, words in enumerate(held)
        for word in sorted(words & number.keys())
    ]
    pairs = np.array(entries, dtype=np.int64).reshape(-1, 2)
    return WordsOfTexts(np.array(kept, dtype=str), pairs[:, 0], pairs[:, 1])


def choose_slices(
    error: Float[np.ndarray, " text"],
    group: Int[np.ndarray, " text"],
    columns: Mapping[str, Shaped[np.ndarray, " text"]],
    words: WordsOfTexts,
    rows: Int[np.ndarray, " chosen"],
    most: int,
) -> list[CandidateSlice]:
    """The slices with the most significant excess of errors among some rows, the worst first.

    Args:
        columns: values by column; each is a candidate.
        rows: of the half that chooses.
        most: slices at most.
    """
    names, members = _candidates(len(error), columns, words)
    if not names:
        return []
    inside = members[:, rows]
    z = _excess(error[rows], inside)
    n_groups = np.array([len(np.unique(group[rows][chosen])) for chosen in inside])
    rest = len(np.unique(group[rows])) - n_groups
    usable = (n_groups >= LEAST_GROUPS) & (rest >= LEAST_GROUPS) & (z > 0)
    # of candidates with the same texts, as where a column is like the label, the first counts
    first: dict[bytes, int] = {}
    for at in np.argsort(-z, kind="stable").tolist():
        if usable[at]:
            first.setdefault(members[at].tobytes(), at)
    chosen = list(first.values())[:most]
    return [CandidateSlice(names[at], members[at], float(z[at])) for at in chosen]


def _candidates(
    n_texts: int, columns: Mapping[str, Shaped[np.ndarray, " text"]], words: WordsOfTexts
) -> tuple[list[str], Bool[np.ndarray, "candidate text"]]:
    names: list[str] = []
    members: list[np.ndarray] = []
    for column, values in columns.items():
        for value in np.unique(values):
            names.append(f"{column} {value}")
            members.append(values == value)
    with_word = np.zeros((len(words.words), n_texts), dtype=bool)
    with_word[words.number, words.text] = True
    names += [f'the word "{word}"' for word in words.words]
    return names, np.concatenate([np.array(members, dtype=bool).reshape(-1, n_texts), with_word])


def _excess(
    error: Float[np.ndarray, " row"], inside: Bool[np.ndarray, "candidate row"]
) -> Float[np.ndarray, " candidate"]:
    """z of the error inside less the error outside; 0 where either side is empty."""
    n_inside = inside.sum(axis=1)
    n_outside = len(error) - n_inside
    errors = inside @ error
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = errors / n_inside - (error.sum() - errors) / n_outside
        spread = np.sqrt(error.mean() * (1 - error.mean()) * (1 / n_inside + 1 / n_outside))
        return np.nan_to_num(difference / spread, nan=0.0, posinf=0.0, neginf=0.0)
