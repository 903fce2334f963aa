"""Examples as a subject reads them: pairs in batches of one length, marked positions, and what had to be left out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from ...errors import UsageError
from ..prompts import PromptPairs
from .task import Example, Span, Task

if TYPE_CHECKING:
    from ...subject import Subject
    from ...subject.subject import Tokens

AT_MOST = 30
"""Examples looked at for each one that is wanted, before a task of rare words is given up."""
BATCH_TOKENS = 256
"""Tokens of a batch's clean prompts: a recording of them takes 160 MB of the default subject."""
Entry = TypeVar("Entry")
_WORD = re.compile(r" [a-z]{3,10}")


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Pairs of one length; `marks` gives a position a pair."""

    pairs: PromptPairs
    marks: dict[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class PreparedPrompts:
    """What a subject is asked.

    Attributes:
        words: those that are several tokens to this subject; examples with them are left out.
        left_out: examples left out, by reason.
    """

    batches: tuple[PairBatch, ...]
    words: tuple[str, ...]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return sum(len(batch.pairs) for batch in self.batches)


def lexicon(subject: Subject) -> list[str]:
    """Lowercase words of the vocabulary that are one token behind a space."""
    found = {text[1:] for text in subject.token_strings() if _WORD.fullmatch(text)}
    return sorted(word for word in found if len(subject.tokenize(f" {word}").ids) == 1)


def prepare(subject: Subject, task: Task, examples: Iterable[Example], n: int) -> PreparedPrompts:
    """The first n examples that suit the subject, in batches of equal length.

    Raises:
        UsageError: none does; or an example of a user's own task does not, which is shown.
    """
    kept: dict[int, list[tuple[Example, Tokens]]] = defaultdict(list)
    left_out, words = defaultdict[str, int](int), dict[str, None]()
    count = 0
    for example in islice(examples, AT_MOST * n):
        if count == n:
            break
        clean = subject.tokenize(example.pair.clean)
        fault, culprits = _fault(subject, example, clean)
        if fault and task.own:
            raise UsageError(
                f"{example.pair.clean!r} and its twin {example.pair.corrupted!r}: {fault}"
            )
        if fault:
            left_out[fault.split(":")[0]] += 1
            words.update(dict.fromkeys(culprits))
        else:
            kept[len(clean.ids)].append((example, clean))
            count += 1
    if not count:
        why = "; ".join(
            f"{number} left out because {reason}" for reason, number in left_out.items()
        )
        raise UsageError(
            f"the task {task.name!r} has no prompt for {subject.name}{f' ({why})' if why else ''}"
        )
    batches = [
        _batch(subject, some)
        for length, everything in sorted(kept.items())
        for some in _evenly(everything, max(1, BATCH_TOKENS // length))
    ]
    return PreparedPrompts(tuple(batches), tuple(word.strip() for word in words), dict(left_out))


def _evenly(some: list[Entry], most: int) -> list[list[Entry]]:
    """Parts of about equal size, none larger than `most`: a mean over the twins of a batch needs several of them."""
    parts = -(-len(some) // most)
    return [some[len(some) * at // parts : len(some) * (at + 1) // parts] for at in range(parts)]


def _fault(subject: Subject, example: Example, clean: Tokens) -> tuple[str, Sequence[str]]:
    pair = example.pair
    several = [
        word
        for word in (*example.words, *pair.answer, *pair.foil)
        if len(subject.tokenize(word).ids) != 1
    ]
    if several:
        return f"a word is several tokens: {several[0]!r}", several
    if set(pair.answer) & set(pair.foil):
        return "an answer is a foil", ()
    corrupted = subject.tokenize(pair.corrupted)
    if len(clean.ids) != len(corrupted.ids):
        return (
            f"the twins have different lengths: {len(clean.ids)} and {len(corrupted.ids)} tokens",
            (),
        )
    if not clean.ids or clean.ids == corrupted.ids:
        return "the twins are the same", ()
    return "", ()


def _batch(subject: Subject, some: Sequence[tuple[Example, Tokens]]) -> PairBatch:
    pairs = PromptPairs.from_texts(subject, [example.pair for example, _ in some])
    names = [name for name in some[0][0].marks if all(name in example.marks for example, _ in some)]
    marks = {
        name: tuple(_position(tokens, example.marks[name]) for example, tokens in some)
        for name in names
    }
    return PairBatch(pairs, marks)


def _position(tokens: Tokens, span: Span) -> int:
    """The last token that shares a character with the span."""
    touching = [
        at for at, (start, end) in enumerate(tokens.offsets) if start < span[1] and end > span[0]
    ]
    if not touching:
        raise UsageError(
            f"no token stands at characters {span[0]} to {span[1]}; the tokenizer's offsets are off"
        )
    return touching[-1]
