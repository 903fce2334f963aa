"""Examples as a subject reads them: batches of pairs of one length, with the marked positions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, TypeVar

from ...errors import UsageError
from ..prompts import PromptPairs
from .task import Example, Span, Task

if TYPE_CHECKING:
    from ...subject import Subject
    from ...subject.subject import Tokens

DRAWS_PER_PROMPT = 30
"""Examples that are drawn for each prompt that is needed; a task of rare words fails after that."""
BATCH_TOKENS = 256
"""Tokens of a batch's clean prompts. Recording them takes 160 MB with the default subject."""
Entry = TypeVar("Entry")
_WORD = re.compile(r" [a-z]{3,10}")


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Pairs of one length; `marks` has one position per pair under each name."""

    pairs: PromptPairs
    marks: dict[str, tuple[int, ...]]

    def take(self, rows: range) -> PairBatch:
        """These pairs with their marks."""
        marks = {name: positions[rows.start : rows.stop] for name, positions in self.marks.items()}
        return PairBatch(self.pairs.take(rows), marks)


@dataclass(frozen=True, eq=False)
class PreparedPrompts:
    """The prompts of a task that suit a subject.

    Attributes:
        words: words that are several tokens to this subject; examples with them are left out.
        left_out: number of examples left out, by reason.
    """

    batches: tuple[PairBatch, ...]
    words: tuple[str, ...]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return sum(len(batch.pairs) for batch in self.batches)


def lexicon(subject: Subject) -> list[str]:
    """Lowercase words of the vocabulary that are one token after a space."""
    candidates = {text[1:] for text in subject.token_strings() if _WORD.fullmatch(text)}
    return sorted(word for word in candidates if len(subject.tokenize(f" {word}").ids) == 1)


def prepare(subject: Subject, task: Task, examples: Iterable[Example], n: int) -> PreparedPrompts:
    """Tokenize the first n examples that suit the subject, in batches of one length.

    Raises:
        UsageError: no example suits it, or one of a user's own file does not.
    """
    # 1. Draw examples until n of them suit the subject.
    by_length: dict[int, list[tuple[Example, Tokens]]] = defaultdict(list)
    left_out, words = defaultdict[str, int](int, task.left_out), dict[str, None]()
    count = 0
    for example in islice(examples, DRAWS_PER_PROMPT * n):
        if count == n:
            break
        clean = subject.tokenize(example.pair.clean)
        fault, long_words = _find_fault(subject, example, clean)
        if fault and task.own:
            raise UsageError(
                f"{example.pair.clean!r} and its twin {example.pair.corrupted!r}: {fault}"
            )
        if fault:
            # Reasons are counted without their details, such as the word.
            left_out[fault.split(":")[0]] += 1
            words.update(dict.fromkeys(long_words))
        else:
            by_length[len(clean.ids)].append((example, clean))
            count += 1
    if not count:
        reasons = [f"{number} left out because {reason}" for reason, number in left_out.items()]
        why = f" ({'; '.join(reasons)})" if reasons else ""
        raise UsageError(f"the task {task.name!r} has no prompt for {subject.name}{why}")
    # 2. Batch the prompts of each length.
    batches = [
        _make_batch(subject, chunk)
        for length, tokenized in sorted(by_length.items())
        for chunk in _split_evenly(tokenized, max(1, BATCH_TOKENS // length))
    ]
    return PreparedPrompts(tuple(batches), tuple(word.strip() for word in words), dict(left_out))


def _split_evenly(items: list[Entry], max_size: int) -> list[list[Entry]]:
    """Split into the fewest chunks of at most `max_size`, all of about equal size.

    An even split leaves no tiny batch: a mean over a batch's twins needs several of them.
    """
    n_chunks = -(-len(items) // max_size)
    bounds = [len(items) * index // n_chunks for index in range(n_chunks + 1)]
    return [items[start:stop] for start, stop in pairwise(bounds)]


def _find_fault(subject: Subject, example: Example, clean: Tokens) -> tuple[str, Sequence[str]]:
    """Why an example does not suit the subject ("" if it does), and its words of several tokens."""
    pair = example.pair
    long_words = [
        word
        for word in (*example.words, *pair.answer, *pair.foil)
        if len(subject.tokenize(word).ids) != 1
    ]
    if long_words:
        return f"a word is several tokens: {long_words[0]!r}", long_words
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


def _make_batch(subject: Subject, tokenized: Sequence[tuple[Example, Tokens]]) -> PairBatch:
    pairs = PromptPairs.from_texts(subject, [example.pair for example, _ in tokenized])
    first, _ = tokenized[0]
    shared = [name for name in first.marks if all(name in each.marks for each, _ in tokenized)]
    marks = {
        name: tuple(_last_position(tokens, example.marks[name]) for example, tokens in tokenized)
        for name in shared
    }
    return PairBatch(pairs, marks)


def _last_position(tokens: Tokens, span: Span) -> int:
    """Position of the last token that shares a character with the span."""
    overlapping = [
        position
        for position, (start, end) in enumerate(tokens.offsets)
        if start < span[1] and end > span[0]
    ]
    if not overlapping:
        raise UsageError(
            f"no token covers characters {span[0]} to {span[1]}; the tokenizer's offsets are wrong"
        )
    return overlapping[-1]
