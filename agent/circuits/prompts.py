"""A part's prompts as the log keeps them, readable without the subject and its tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from ...tools.circuits.prompts import PromptPair, PromptPairs
from ...tools.circuits.tasks.prepared import PairBatch, PreparedPrompts
from ..runlog.log import canonical

if TYPE_CHECKING:
    from ...tools.subject import Subject

_ID_ROWS = ("clean", "corrupted", "answer", "foil")
"""Fields of `PromptPairs` that hold token ids."""


@dataclass(frozen=True, eq=False)
class PromptSet:
    """Prompts of one part.

    Attributes:
        tokens: the tokens of each batch's first clean prompt, as strings.
        words: words of several tokens, whose examples were left out.
        left_out: number of examples left out, by reason.
    """

    part: str
    batches: tuple[PairBatch, ...]
    tokens: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return sum(len(batch.pairs) for batch in self.batches)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Each batch's name in the journal's requests."""
        return tuple(map(_digest, self.batches))

    def subset(self, n: int) -> PromptSet:
        """About n of the prompts: the first ones of each batch, in proportion to its size."""
        batches: list[PairBatch] = []
        for batch in self.batches:
            share = max(1, round(n * len(batch.pairs) / len(self)))
            batches.append(batch.take(range(min(len(batch.pairs), share))))
        return replace(self, batches=tuple(batches))


def prompts_to_json(subject: Subject, prepared: PreparedPrompts) -> dict[str, Any]:
    """What the log keeps of prompts."""
    strings = subject.token_strings()
    return {
        "batches": [_batch_to_json(batch, strings) for batch in prepared.batches],
        "words": list(prepared.words),
        "left_out": prepared.left_out,
    }


def _batch_to_json(batch: PairBatch, strings: Sequence[str]) -> dict[str, Any]:
    ids = {name: getattr(batch.pairs, name).tolist() for name in _ID_ROWS}
    marks = {name: list(positions) for name, positions in batch.marks.items()}
    return {
        "pairs": [pair._asdict() for pair in batch.pairs.pairs],
        **ids,
        "marks": marks,
        "tokens": [strings[token] for token in batch.pairs.clean[0].tolist()],
    }


def prompts_from_json(part: str, data: dict[str, Any]) -> PromptSet:
    """The inverse of `prompts_to_json`."""
    batches = tuple(_batch_from_json(batch) for batch in data["batches"])
    tokens = tuple(tuple(batch["tokens"]) for batch in data["batches"])
    return PromptSet(part, batches, tokens, tuple(data["words"]), data["left_out"])


def _batch_from_json(data: dict[str, Any]) -> PairBatch:
    pairs = tuple(
        PromptPair(pair["clean"], pair["corrupted"], tuple(pair["answer"]), tuple(pair["foil"]))
        for pair in data["pairs"]
    )
    ids = {name: torch.tensor(data[name]) for name in _ID_ROWS}
    marks = {name: tuple(positions) for name, positions in data["marks"].items()}
    return PairBatch(PromptPairs(**ids, pairs=pairs), marks)


def _digest(batch: PairBatch) -> str:
    rows = [getattr(batch.pairs, name).tolist() for name in _ID_ROWS]
    return hashlib.sha256(canonical({"rows": rows}).encode()).hexdigest()[:12]
