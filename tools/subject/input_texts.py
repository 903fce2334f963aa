"""Texts given by a caller: cut into tokens, batched, and read by the subject."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from .address import Unit

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int
    from torch import Tensor

    from .subject import Subject

MAX_TOKENS = 1024
"""Tokens of one text. Longer ones cost memory with the square of their length and say little more."""
BATCH_TOKENS = 2048
"""Padded tokens of one batch: 400 MB of logits at a vocabulary of 49k."""


@dataclass(frozen=True)
class InputText:
    """One text and its tokens; `offsets` are characters of `text`."""

    text: str
    ids: list[int]
    offsets: list[tuple[int, int]]
    tokens: list[str]

    @classmethod
    def of_ids(cls, ids: list[int]) -> InputText:
        """Tokens without their text, to be read by the subject only."""
        return cls("", ids, [], [])

    @property
    def scored(self) -> range:
        """Positions that count: all but 0, an attention sink. A text of one token has none."""
        return range(1, len(self.ids))

    def positions(self, focus: str | None) -> list[int]:
        """The tokens of the last occurrence of `focus`, or all that count without a focus.

        Raises:
            ArgumentError: the focus does not occur, or is the first token alone.
        """
        if not (part := (focus or "").strip()):
            return list(self.scored)
        start = self.text.rfind(part)
        if start < 0:
            raise ArgumentError(
                f"the focus {part[:60]!r} is not in the text {self.text[:60]!r}; copy it exactly"
            )
        end = start + len(part)
        positions = [
            i for i in self.scored if self.offsets[i][0] < end and self.offsets[i][1] > start
        ]
        if not positions:
            raise ArgumentError(
                f"the focus {part[:60]!r} is the text's first token, which never counts; "
                "begin earlier"
            )
        return positions


def tokenize_texts(subject: Subject, texts: Sequence[str], at_least: int = 2) -> list[InputText]:
    """Cut texts into tokens.

    Args:
        at_least: tokens of each; the first never counts, so that a text of one has nothing to read.

    Raises:
        ArgumentError: a text is too short or too long; it is shown with its number.
    """
    strings = subject.token_strings()
    limit = min(subject.context_length, MAX_TOKENS)
    tokenized: list[InputText] = []
    for number, text in enumerate(texts):
        ids, offsets = subject.tokenize(text)
        if not at_least <= len(ids) <= limit:
            cure = ""
            if len(ids) == 1:
                cure = " (the first token is an attention sink and never counts: begin earlier)"
            raise ArgumentError(
                f"text {number} has {len(ids)} token{'s' * (len(ids) != 1)}; "
                f"give {at_least} to {limit}{cure}: {text[:40]!r}"
            )
        characters = [(start, end) for start, end in offsets]
        tokenized.append(InputText(text, ids, characters, [strings[i] for i in ids]))
    return tokenized


@dataclass(frozen=True)
class TextBatch:
    """Texts that run together; `numbers` are their places in the list that was batched."""

    numbers: list[int]
    texts: list[InputText]

    @cached_property
    def ids(self) -> Int[Tensor, "text seq"]:
        """Token ids, padded on the right, where a causal model does not look."""
        return pad_token_ids(self.texts)


def batches(texts: Sequence[InputText], budget: int = BATCH_TOKENS) -> Iterator[TextBatch]:
    """Texts of similar length together: at most `budget` padded tokens, at least one text."""
    numbers: list[int] = []
    for number in sorted(range(len(texts)), key=lambda n: len(texts[n].ids)):
        if numbers and (len(numbers) + 1) * len(texts[number].ids) > budget:
            yield TextBatch(numbers, [texts[n] for n in numbers])
            numbers = []
        numbers.append(number)
    if numbers:
        yield TextBatch(numbers, [texts[n] for n in numbers])


def pad_token_ids(texts: Sequence[InputText]) -> Int[Tensor, "text seq"]:
    """Token ids of several texts, padded on the right, where a causal model does not look."""
    import torch

    ids = torch.zeros(len(texts), max(len(text.ids) for text in texts), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text.ids)] = torch.tensor(text.ids)
    return ids


def read_units(
    subject: Subject, texts: Sequence[InputText], units: Sequence[Unit]
) -> list[list[Float[np.ndarray, " seq"]]]:
    """For each text each unit's signal at each token, on the unit's side."""
    signals: dict[int, list[Float[np.ndarray, " seq"]]] = {}
    unsided = [unit.unsided for unit in units]
    for batch in batches(texts):
        raw = subject.unit_activations(batch.ids, unsided).float().cpu().numpy()
        for row, (number, text) in enumerate(zip(batch.numbers, batch.texts, strict=True)):
            length = len(text.ids)
            signals[number] = [unit.signal(raw[i, row, :length]) for i, unit in enumerate(units)]
    return [signals[number] for number in range(len(texts))]
