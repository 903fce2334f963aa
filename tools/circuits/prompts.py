"""Pairs of prompts that differ in one thing, and the scalar that a circuit is about: the logit
difference.

A clean prompt calls for the answer; its corrupted twin, of equal length in tokens, calls for
something else. The metric is taken at the last position:

    logit difference = mean of the answers' logits - mean of the foils' logits
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UsageError

if TYPE_CHECKING:
    from ..subject import Subject

PADDING = -1
"""Fills rows of answers and foils of pairs that have fewer than others."""


class PromptPair(NamedTuple):
    """One clean prompt and its twin, as text; every answer and foil is one token."""

    clean: str
    corrupted: str
    answer: tuple[str, ...]
    foil: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PromptPairs:
    """A batch of pairs of one length, as token ids; the answer is what follows the last position.

    Attributes:
        answer, foil: token ids, filled up with `PADDING`.
        pairs: the text, if the prompts come from text.
    """

    clean: Int[Tensor, "pairs seq"]
    corrupted: Int[Tensor, "pairs seq"]
    answer: Int[Tensor, "pairs answers"]
    foil: Int[Tensor, "pairs foils"]
    pairs: tuple[PromptPair, ...] = ()

    def __post_init__(self) -> None:
        if fault := _fault(self):
            raise UsageError(f"prompt pairs: {fault}")

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def n_tokens(self) -> int:
        """Tokens of a prompt."""
        return self.clean.shape[1]

    def take(self, rows: Sequence[int]) -> PromptPairs:
        """These pairs, in this order; a row may be repeated."""
        index = list(rows)
        texts = tuple(self.pairs[row] for row in index) if self.pairs else ()
        ids = (self.clean, self.corrupted, self.answer, self.foil)
        return PromptPairs(*(column[index] for column in ids), pairs=texts)

    def row_batches(self, n_tokens: int) -> list[range]:
        """Consecutive rows, each batch of at most so many tokens but at least one row."""
        size = max(1, n_tokens // self.n_tokens)
        return [range(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def swapped(self) -> PromptPairs:
        """With the twins exchanged: the corrupted prompts are run and the clean ones patched in (denoising)."""
        return PromptPairs(self.corrupted, self.clean, self.answer, self.foil)

    def logit_difference(self, logits: Float[Tensor, "pairs vocab"]) -> Float[Tensor, " pairs"]:
        """The metric of each pair from the logits of its last position."""
        return _mean_of(logits, self.answer) - _mean_of(logits, self.foil)

    @classmethod
    def from_texts(cls, subject: Subject, pairs: Sequence[PromptPair]) -> PromptPairs:
        """Tokenize pairs of text.

        Raises:
            UsageError: no pairs, twins or pairs of different length, or an answer of several tokens; the pair is shown.
        """
        clean = [subject.tokenize(pair.clean).ids for pair in pairs]
        corrupted = [subject.tokenize(pair.corrupted).ids for pair in pairs]
        for pair, ids, twin_ids in zip(pairs, clean, corrupted, strict=True):
            if len(ids) != len(twin_ids):
                raise UsageError(
                    f"{pair.clean!r} has {len(ids)} tokens and its twin {pair.corrupted!r} has {len(twin_ids)}; "
                    "write twins of equal length"
                )
            if len(ids) != len(clean[0]):
                raise UsageError(
                    f"{pair.clean!r} has {len(ids)} tokens and {pairs[0].clean!r} has {len(clean[0])}; "
                    "put prompts of one length in one batch"
                )
        return cls(
            torch.tensor(clean),
            torch.tensor(corrupted),
            _token_rows(subject, [pair.answer for pair in pairs]),
            _token_rows(subject, [pair.foil for pair in pairs]),
            tuple(pairs),
        )


def _fault(pairs: PromptPairs) -> str | None:
    if pairs.clean.ndim != 2 or pairs.clean.numel() == 0:
        return f"clean prompts of shape {tuple(pairs.clean.shape)}; give (pairs, seq) with at least one token"
    if pairs.clean.shape != pairs.corrupted.shape:
        return (
            f"clean prompts of shape {tuple(pairs.clean.shape)} and corrupted ones of {tuple(pairs.corrupted.shape)}; "
            "twins must have equal length"
        )
    for name, ids in (("answer", pairs.answer), ("foil", pairs.foil)):
        if ids.ndim != 2 or len(ids) != len(pairs.clean) or not (ids != PADDING).any(dim=1).all():
            return f"{name} ids of shape {tuple(ids.shape)}; give at least one for each of {len(pairs.clean)} pairs"
    shared = (pairs.answer[:, :, None] == pairs.foil[:, None, :]) & (
        pairs.answer[:, :, None] != PADDING
    )
    if shared.any():
        row = int(shared.flatten(1).any(dim=1).nonzero()[0, 0])
        text = f" ({pairs.pairs[row]})" if pairs.pairs else ""
        return f"an answer of pair {row}{text} is a foil too, which makes no difference to measure"
    return None


def _mean_of(
    logits: Float[Tensor, "pairs vocab"], ids: Int[Tensor, "pairs some"]
) -> Float[Tensor, " pairs"]:
    ids = ids.to(logits.device)
    is_token = ids != PADDING
    return (logits.gather(1, ids.clamp(min=0)) * is_token).sum(dim=1) / is_token.sum(dim=1)


def _one_token(subject: Subject, text: str) -> int:
    ids = subject.tokenize(text).ids
    if len(ids) != 1:
        raise UsageError(
            f"{text!r} is {len(ids)} tokens to {subject.name}; give answers and foils of one token"
        )
    return ids[0]


def _token_rows(
    subject: Subject, texts: Sequence[Sequence[str]]
) -> Int[Tensor, "pairs most_tokens"]:
    rows = [[_one_token(subject, text) for text in row] for row in texts]
    width = max((len(row) for row in rows), default=0)
    return torch.tensor([row + [PADDING] * (width - len(row)) for row in rows], dtype=torch.long)
