"""A part's prompts as the log keeps them, so that whoever reads it needs no subject and no tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...tools.circuits.prompts import PromptPair, PromptPairs
from ...tools.circuits.tasks.prepared import PairBatch, PreparedPrompts
from ..runlog.log import canonical

if TYPE_CHECKING:
    from ...tools.subject import Subject


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts of one part.

    Attributes:
        names: a digest of each batch, which stands for it in the journal's requests.
        tokens: of each batch's first clean prompt.
    """

    part: str
    batches: tuple[PairBatch, ...]
    names: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return sum(len(batch.pairs) for batch in self.batches)

    def some(self, n: int) -> Prompts:
        """About n of the prompts: of each batch its share, the first ones."""
        take = [
            min(len(b.pairs), max(1, round(n * len(b.pairs) / len(self)))) for b in self.batches
        ]
        batches = [_first(batch, k) for batch, k in zip(self.batches, take, strict=True)]
        return Prompts(
            self.part,
            tuple(batches),
            tuple(map(_name, batches)),
            self.tokens,
            self.words,
            self.left_out,
        )


def as_json(subject: Subject, prepared: PreparedPrompts) -> dict[str, Any]:
    """What the log keeps of prompts."""
    strings = subject.token_strings()
    batches = [
        {
            "pairs": [pair._asdict() for pair in batch.pairs.pairs],
            **{
                name: getattr(batch.pairs, name).tolist()
                for name in ("clean", "corrupted", "answer", "foil")
            },
            "marks": {name: list(at) for name, at in batch.marks.items()},
            "tokens": [strings[token] for token in batch.pairs.clean[0].tolist()],
        }
        for batch in prepared.batches
    ]
    return {"batches": batches, "words": list(prepared.words), "left_out": prepared.left_out}


def from_json(part: str, data: dict[str, Any]) -> Prompts:
    """The inverse of `as_json`."""
    batches = tuple(_batch(each) for each in data["batches"])
    tokens = tuple(tuple(each["tokens"]) for each in data["batches"])
    return Prompts(
        part, batches, tuple(map(_name, batches)), tokens, tuple(data["words"]), data["left_out"]
    )


def _batch(data: dict[str, Any]) -> PairBatch:
    pairs = tuple(
        PromptPair(pair["clean"], pair["corrupted"], tuple(pair["answer"]), tuple(pair["foil"]))
        for pair in data["pairs"]
    )
    ids = {name: torch.tensor(data[name]) for name in ("clean", "corrupted", "answer", "foil")}
    return PairBatch(
        PromptPairs(**ids, pairs=pairs), {name: tuple(at) for name, at in data["marks"].items()}
    )


def _first(batch: PairBatch, n: int) -> PairBatch:
    return PairBatch(batch.pairs.take(range(n)), {name: at[:n] for name, at in batch.marks.items()})


def _name(batch: PairBatch) -> str:
    rows: Sequence[Any] = [
        getattr(batch.pairs, name).tolist() for name in ("clean", "corrupted", "answer", "foil")
    ]
    return hashlib.sha256(canonical({"rows": rows}).encode()).hexdigest()[:12]
