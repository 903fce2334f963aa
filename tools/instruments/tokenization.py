"""How the subject cuts words into tokens, how common those are, and which tokens are like them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from .registry import InstrumentContext, Result, Text, instrument, rounded
from .rendering import quote_text

if TYPE_CHECKING:
    import numpy as np

    from ..subject import Subject


@dataclass(frozen=True)
class Spelling:
    """A word as it is written in one place.

    Attributes:
        count: of its last token in explore; None without an index.
        rank: of that token by frequency, 1 the most common; None if it never occurs, or without an
            index.
    """

    written: str
    tokens: list[str]
    count: int | None
    rank: int | None


@dataclass(frozen=True)
class Word:
    """A word with and without a space before it.

    Attributes:
        neighbours: tokens whose input embeddings are most like that of the word's last token.
    """

    word: str
    alone: Spelling
    behind_space: Spelling
    neighbours: list[str]
    cosines: list[float]


@dataclass(frozen=True)
class TokenFacts(Result):
    """What the tokenizer makes of some words."""

    words: list[Word]

    def render(self) -> str:
        return "\n".join(map(_line, self.words))


def _line(word: Word) -> str:
    neighbours = ", ".join(
        f'"{quote_text(token)}" {cosine:.2f}'
        for token, cosine in zip(word.neighbours, word.cosines, strict=True)
    )
    return f"{_format(word.behind_space)}; {_format(word.alone)}; nearest {neighbours}"


def _format(spelling: Spelling) -> str:
    n = len(spelling.tokens)
    text = f'"{quote_text(spelling.written)}" {"one token" if n == 1 else f"{n} tokens "}'
    if n > 1:
        text += "|".join(map(quote_text, spelling.tokens))
    if spelling.count is not None:
        text += f", {spelling.count}x"
    return f"{text} (rank {spelling.rank})" if spelling.rank else text


@instrument("tokens.describe", needs=("subject",))
def describe(
    context: InstrumentContext,
    words: Annotated[list[Text], Field(min_length=1, max_length=40)],
    k: Annotated[int, Field(ge=1, le=50, description="nearest tokens to list")] = 6,
) -> TokenFacts:
    """Show how words are split into tokens, how common those are, and which are like them.

    Tells whether a word is one token or pieces (a unit may fire on a piece), and offers near
    neighbours to test.
    """
    import numpy as np

    subject = context.require_subject()
    counts = None
    if context.index is not None:
        contexts = context.index.contexts("explore")
        real = np.arange(contexts.tokens.shape[1]) < contexts.length[:, None]
        counts = np.bincount(contexts.tokens[real], minlength=len(subject.token_strings()))
    return TokenFacts([_word(subject, word, counts, k) for word in words])


def _word(subject: Subject, word: str, counts: np.ndarray | None, k: int) -> Word:
    bare = word.strip() or word
    alone, after_space = (_spelling(subject, text, counts) for text in (bare, f" {bare}"))
    tokens, cosines = _neighbours(subject, subject.tokenize(f" {bare}").ids[-1], k)
    return Word(word, alone, after_space, tokens, cosines)


def _spelling(subject: Subject, written: str, counts: np.ndarray | None) -> Spelling:
    ids = subject.tokenize(written).ids
    tokens = [subject.token_strings()[i] for i in ids]
    if counts is None:
        return Spelling(written, tokens, None, None)
    count = int(counts[ids[-1]])
    return Spelling(written, tokens, count, 1 + int((counts > count).sum()) if count else None)


def _neighbours(subject: Subject, token: int, k: int) -> tuple[list[str], list[float]]:
    weight = subject.model.get_input_embeddings().weight.float()
    cosines = weight @ weight[token] / (weight.norm(dim=1) * weight[token].norm()).clamp(min=1e-12)
    strings = subject.token_strings()
    nearest = cosines.argsort(descending=True, stable=True)[: 2 * k + 1].tolist()
    nearest = [i for i in nearest if i != token and strings[i]][:k]
    return [strings[i] for i in nearest], rounded([float(cosines[i]) for i in nearest], 3)
