"""What two subjects read to be compared: starts of texts, the kind of each token, slices of a data set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...evals.statistics.grouped import LEAST_GROUPS
from ...tools.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from ...tools.subject import Subject
    from ..measurements import Measured

CONTEXT = 48
"""Tokens of a text that are read: KL of later ones is much the same, and costs as much again."""
LEAST_TOKENS = 4
"""Of a labelled text; the first is an attention sink, and the last predicts nothing that is known."""
PADDING = -1
KINDS = {
    "numbers": r"\s?\d+",
    "capitalised words": r"\s?[A-Z]\w*",
    "words": r"\s[a-z]\w*",
    "pieces of words": r"[a-z]+",
    "punctuation": r"\s?[^\w\s]+",
    "line ends": r"\s*\n\s*",
}
"""Kinds of tokens, by their text; the first that fits counts."""
OTHER = "unclassified tokens"
SLICE = "slice "
"""Starts the names of columns that divide texts into slices."""
MOST_SLICES = 20
"""More would need a level at which 2,000 resamples have no percentiles."""


class TokenSlice(NamedTuple):
    """Some of the tokens, by their kind or by a column of their texts."""

    what: str
    name: str
    where: str
    member: Bool[np.ndarray, " token"]


def read_corpus_starts(subject: Subject, corpus: str, documents: int) -> Measured:
    """The first tokens of documents that are long enough; each is a group."""
    from ...tools.corpus import read_corpus

    ids: list[list[int]] = []
    for document in read_corpus(corpus).documents:
        read = subject.tokenize(document.text).ids[:CONTEXT]
        if len(read) == CONTEXT:
            ids.append(read)
        if len(ids) == documents:
            break
    _check_enough(len(ids), f"{corpus} has {len(ids)} texts of {CONTEXT} tokens or more")
    return tokens_of(subject, ids, np.arange(len(ids)))


def read_labelled_starts(subject: Subject, data: str, texts: int, seed: int) -> Measured:
    """The first tokens of labelled texts, drawn at random, with their groups, labels and columns."""
    from ...tools.datasets import independent_groups, read_dataset

    labelled = read_dataset(data)
    ids: list[list[int]] = []
    rows: list[int] = []
    for row in np.random.default_rng(seed).permutation(len(labelled)).tolist():
        read = subject.tokenize(labelled.texts[row]).ids[:CONTEXT]
        if len(read) >= LEAST_TOKENS:
            ids.append(read)
            rows.append(row)
        if len(ids) == texts:
            break
    _check_enough(len(ids), f"{data} has {len(ids)} texts of {LEAST_TOKENS} tokens or more")
    drawn = labelled.take(rows)
    group = independent_groups(drawn.texts, drawn.groups)
    n_groups = len(np.unique(group))
    _check_enough(n_groups, f"the {len(rows)} texts drawn from {data} are of {n_groups} groups")
    columns = {"label": drawn.labels, **drawn.slices}
    slices = {SLICE + name: np.array(values) for name, values in columns.items()}
    return {**tokens_of(subject, ids, group), **slices}


def tokens_of(
    subject: Subject, ids: Sequence[Sequence[int]], group: Int[np.ndarray, " text"]
) -> Measured:
    """Token ids and kinds, padded to the longest text."""
    shape = len(ids), max(len(row) for row in ids)
    padded, kind = np.full(shape, PADDING), np.full(shape, "", dtype="U32")
    strings = subject.token_strings()
    for row, tokens in enumerate(ids):
        padded[row, : len(tokens)] = tokens
        kind[row, : len(tokens)] = [kind_of(strings[token]) for token in tokens]
    return {"ids": padded, "kind": kind, "group": group}


def unpadded(ids: Int[np.ndarray, "text token"]) -> list[list[int]]:
    """The tokens of each text."""
    return [row[row != PADDING].tolist() for row in ids]


def kind_of(token: str) -> str:
    """The first kind whose pattern the token fits."""
    return next((name for name, form in KINDS.items() if re.fullmatch(form, token)), OTHER)


def token_slices(tokens: Measured, is_read: Bool[np.ndarray, "text read"]) -> list[TokenSlice]:
    """By kind of token, and by label and column where the texts have any."""
    kind, text = tokens["kind"][:, :-1][is_read], np.nonzero(is_read)[0]
    slices = [
        TokenSlice("kind of token", name, f"after {name}", kind == name) for name in (*KINDS, OTHER)
    ]
    columns = {key.removeprefix(SLICE): tokens[key] for key in tokens if key.startswith(SLICE)}
    for column, values in columns.items():
        for value in np.unique(values):
            name, member = f"{column} {value}", (values == value)[text]
            slices.append(TokenSlice("slice", name, f"in texts of {name}", member))
    # of slices with the same tokens, as where a column is like the label, the first counts
    first: dict[bytes, TokenSlice] = {}
    for each in slices:
        first.setdefault(each.member.tobytes(), each)
    return [each for each in first.values() if each.member.any() and not each.member.all()]


def large_slices(
    slices: Sequence[TokenSlice], group: Int[np.ndarray, " token"]
) -> tuple[list[TokenSlice], list[TokenSlice]]:
    """Those with enough groups inside and outside, at most `MOST_SLICES`, and the others."""
    sizes = [
        min(len(np.unique(group[side])) for side in (each.member, ~each.member)) for each in slices
    ]
    order = np.argsort([-size for size in sizes], kind="stable")[:MOST_SLICES].tolist()
    large = {place for place in order if sizes[place] >= LEAST_GROUPS}
    kept = [each for place, each in enumerate(slices) if place in large]
    return kept, [each for place, each in enumerate(slices) if place not in large]


def _check_enough(n: int, found: str) -> None:
    least = 2 * LEAST_GROUPS  # one half chooses the layer, the other half tests it
    if n < least:
        raise UsageError(f"{found}; give others with at least {least}")
