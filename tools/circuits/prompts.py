"""Pairs of prompts that differ in one thing, and the scalar that a circuit is about: the logit
difference.

A clean prompt calls for the answer, its corrupted twin, of the same length in tokens, for something
else. The metric is read at the last position:

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
"""Fills the rows of answers and foils where a pair has fewer than another."""


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
        answer, foil: token ids, filled with `NONE` where a pair has fewer than another.
        pairs: the text, where the prompts come from text.
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
        """Some of the pairs, in the order given; a row may come more than once."""
        at = list(rows)
        texts = tuple(self.pairs[row] for row in at) if self.pairs else ()
        return PromptPairs(
            self.clean[at], self.corrupted[at], self.answer[at], self.foil[at], texts
        )

    def row_batches(self, n_tokens: int) -> list[range]:
        """Rows in turn, as many as have so many tokens together, and at least one."""
        most = max(1, n_tokens // self.n_tokens)
        return [range(start, min(start + most, len(self))) for start in range(0, len(self), most)]

    def swapped(self) -> PromptPairs:
        """The twins' roles exchanged: the corrupted prompts are run and the clean ones patched in (denoising)."""
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
        for pair, one, two in zip(pairs, clean, corrupted, strict=True):
            if len(one) != len(two):
                raise UsageError(
                    f"{pair.clean!r} has {len(one)} tokens and its twin {pair.corrupted!r} has {len(two)}; "
                    "write twins of equal length"
                )
            if len(one) != len(clean[0]):
                raise UsageError(
                    f"{pair.clean!r} has {len(one)} tokens and {pairs[0].clean!r} has {len(clean[0])}; "
                    "put prompts of one length in one batch"
                )
        answers, foils = (
            [[_one_token(subject, text) for text in texts] for texts in side]
            for side in ([pair.answer for pair in pairs], [pair.foil for pair in pairs])
        )
        return cls(
            torch.tensor(clean),
            torch.tensor(corrupted),
            _filled(answers),
            _filled(foils),
            tuple(pairs),
        )


def _fault(given: PromptPairs) -> str | None:
    if given.clean.ndim != 2 or given.clean.numel() == 0:
        return f"clean prompts of shape {tuple(given.clean.shape)}; give (pairs, seq) with at least one token"
    if given.clean.shape != given.corrupted.shape:
        return (
            f"clean prompts of shape {tuple(given.clean.shape)} and corrupted ones of {tuple(given.corrupted.shape)}; "
            "twins must have equal length"
        )
    for name, ids in (("answer", given.answer), ("foil", given.foil)):
        if ids.ndim != 2 or len(ids) != len(given.clean) or not (ids != PADDING).any(dim=1).all():
            return f"{name} ids of shape {tuple(ids.shape)}; give at least one for each of {len(given.clean)} pairs"
    both = (given.answer[:, :, None] == given.foil[:, None, :]) & (
        given.answer[:, :, None] != PADDING
    )
    if both.any():
        row = int(both.flatten(1).any(dim=1).nonzero()[0, 0])
        shown = f" ({given.pairs[row]})" if given.pairs else ""
        return f"an answer of pair {row}{shown} is a foil too, which makes no difference to measure"
    return None


def _mean_of(
    logits: Float[Tensor, "pairs vocab"], ids: Int[Tensor, "pairs some"]
) -> Float[Tensor, " pairs"]:
    ids = ids.to(logits.device)
    there = ids != PADDING
    return (logits.gather(1, ids.clamp(min=0)) * there).sum(dim=1) / there.sum(dim=1)


def _one_token(subject: Subject, text: str) -> int:
    ids = subject.tokenize(text).ids
    if len(ids) != 1:
        raise UsageError(
            f"{text!r} is {len(ids)} tokens to {subject.name}; give answers and foils of one token"
        )
    return ids[0]


def _filled(rows: list[list[int]]) -> Int[Tensor, "pairs some"]:
    width = max((len(row) for row in rows), default=0)
    return torch.tensor([row + [PADDING] * (width - len(row)) for row in rows], dtype=torch.long)
