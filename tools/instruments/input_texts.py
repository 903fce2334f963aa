"""Texts that someone writes for an instrument, made ready for the subject."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ArgumentError

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

    from ..subject import Subject

MAX_TOKENS = 1024
"""Tokens of one text. Longer ones cost memory with the square of their length and say little more."""
BATCH_TOKENS = 2048
"""Padded tokens of one batch: 400 MB of logits at a vocabulary of 49k."""


@dataclass(frozen=True)
class TokenizedText:
    """One text and its tokens; `offsets` are characters of `text`."""

    text: str
    ids: list[int]
    offsets: list[tuple[int, int]]
    tokens: list[str]

    @property
    def scored(self) -> range:
        """Positions that count: position 0 is an attention sink, unless the text is that one token."""
        return range(1 if len(self.ids) > 1 else 0, len(self.ids))

    def positions(self, focus: str | None) -> list[int]:
        """The tokens of a part of the text, where it stands last; without one all that count.

        Raises:
            ArgumentError: the part does not occur, or is the first token alone.
        """
        if not (wanted := (focus or "").strip()):
            return list(self.scored)
        start = self.text.rfind(wanted)
        if start < 0:
            raise ArgumentError(
                f"the focus {wanted[:60]!r} is not in the text {self.text[:60]!r}; copy it exactly"
            )
        end = start + len(wanted)
        found = [i for i in self.scored if self.offsets[i][0] < end and self.offsets[i][1] > start]
        if not found:
            raise ArgumentError(
                f"the focus {wanted[:60]!r} is the text's first token, which never counts; begin earlier"
            )
        return found


def tokenize_texts(subject: Subject, texts: Sequence[str]) -> list[TokenizedText]:
    """Cut texts into tokens; raises ArgumentError for one that is empty or too long."""
    strings = subject.token_strings()
    limit = min(subject.context_length, MAX_TOKENS)
    found: list[TokenizedText] = []
    for number, text in enumerate(texts):
        ids, offsets = subject.tokenize(text)
        if not 0 < len(ids) <= limit:
            raise ArgumentError(
                f"text {number} has {len(ids)} tokens; give 1 to {limit}: {text[:40]!r}"
            )
        found.append(
            TokenizedText(
                text, ids, [(start, end) for start, end in offsets], [strings[i] for i in ids]
            )
        )
    return found


def batches(texts: Sequence[TokenizedText], budget: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Numbers of texts that run together: of similar length, at most `budget` padded tokens, at least one text."""
    batch: list[int] = []
    for number in sorted(range(len(texts)), key=lambda n: len(texts[n].ids)):
        if batch and (len(batch) + 1) * len(texts[number].ids) > budget:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def pad_token_ids(texts: Sequence[TokenizedText]) -> Int[Tensor, "text seq"]:
    """Token ids of several texts as one batch, filled up on the right, where a causal model does not look."""
    import torch

    ids = torch.zeros(len(texts), max(len(text.ids) for text in texts), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text.ids)] = torch.tensor(text.ids)
    return ids
