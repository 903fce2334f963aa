"""What is looked for, as a number for each token of explore: 0 where it does not hold."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...errors import ArgumentError
from ..text_patterns import TextPattern, compile_pattern, compile_words, matching_spans

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...corpus import Contexts
    from ...dissection import Lexicon, Predicate
    from ...subject import Subject

DEFAULT_GRADE = "strongly"
"""Grade of a concept that is written without one; with a single concept it makes no difference."""


@dataclass(frozen=True)
class TokenTarget:
    """A signal over explore that units are compared with.

    Attributes:
        what: what is looked for, for messages.
        signal: 0 where it does not hold, and at position 0 and after a context's end.
        found: of listed words, how often each occurs; empty for others.
    """

    what: str
    contexts: Contexts
    signal: Float[np.ndarray, "context seq"]
    found: dict[str, int]

    @property
    def n(self) -> int:
        """Tokens of explore that count."""
        return int(self.contexts.mask.sum())

    @cached_property
    def moments(self) -> SignalMoments:
        """Mean and standard deviation over all tokens that count."""
        values = self.signal[self.contexts.mask].astype(np.float64)
        return SignalMoments(float(values.mean()), float(values.std()))


class MatchOptions(NamedTuple):
    """How words and patterns are looked for.

    Attributes:
        last_only: of a match of several tokens the last one only.
    """

    regex: bool = False
    match_case: bool = False
    last_only: bool = False


class SignalMoments(NamedTuple):
    """Mean and standard deviation of a signal."""

    mean: float
    std: float


def target_of_words(
    subject: Subject, contexts: Contexts, words: Sequence[str], options: MatchOptions
) -> TokenTarget:
    """1 on the tokens of each listed word, written whole.

    Raises:
        ArgumentError: none of them occurs.
    """
    match_case = options.match_case
    listed = {_key(word, match_case=match_case): word for word in words}
    what = "the words " + ", ".join(f'"{word.strip() or word}"' for word in listed.values())
    pattern = compile_words(list(listed.values()), match_case=match_case)
    signal, texts = _mark(subject, contexts, pattern, last_only=options.last_only)
    counts = Counter(_key(text, match_case=match_case) for text in texts)
    found = {word: counts[key] for key, word in listed.items()}
    return _checked(TokenTarget(what, contexts, signal, found))


def target_of_pattern(
    subject: Subject, contexts: Contexts, pattern: str, options: MatchOptions
) -> TokenTarget:
    """1 on the tokens of each match; raises ArgumentError where nothing matches."""
    kind = "the expression" if options.regex else "the words"
    compiled = compile_pattern(pattern, regex=options.regex, match_case=options.match_case)
    signal, _ = _mark(subject, contexts, compiled, last_only=options.last_only)
    return _checked(TokenTarget(f"{kind} {pattern!r}", contexts, signal, {}))


def target_of_predicate(subject: Subject, contexts: Contexts, text: str) -> TokenTarget:
    """A predicate's prediction over its rest level; one that only lowers is turned round.

    Raises:
        UsageError: it cannot be parsed.
        ArgumentError: it holds nowhere.
    """
    from ...dissection import Predicate, WeightedConcept, parse_formula

    terms = [
        WeightedConcept(term.concept, term.grade or DEFAULT_GRADE, term.sign)
        for term in parse_formula(text).terms
    ]
    predicate = Predicate(tuple(terms))
    lexicon = _lexicon(subject, predicate)
    signal = predicate.predict(contexts.tokens, lexicon, contexts.length.astype(np.int64))
    signal = np.where(contexts.mask, signal, 0)
    if signal.max(initial=0) <= 0:
        signal = -signal
    return _checked(TokenTarget(f"the predicate {text}", contexts, signal, {}))


def _lexicon(subject: Subject, predicate: Predicate) -> Lexicon:
    """The subject's vocabulary; with vectors only if the predicate needs them, which take a second."""
    from ...dissection import Lexicon
    from ...dissection.concepts.near import NearWords
    from ...dissection.frozen_lexicon import with_parts

    concepts = (part for term in predicate.terms for part in with_parts(term.concept))
    embedding = None
    if any(isinstance(concept, NearWords) for concept in concepts):
        embedding = subject.model.get_input_embeddings().weight.detach().float().cpu().numpy()
    return Lexicon.build(subject.token_strings(), embedding)


class _Marked(NamedTuple):
    signal: Float[np.ndarray, "context seq"]
    texts: list[str]


def _mark(
    subject: Subject, contexts: Contexts, pattern: TextPattern, *, last_only: bool
) -> _Marked:
    """1 on the tokens of each match, and the text of each."""
    signal = np.zeros(contexts.tokens.shape, np.float32)
    texts: list[str] = []
    for number, spans in matching_spans(contexts, subject.token_strings(), pattern).items():
        for first, last, text in spans:
            signal[number, last if last_only else slice(first, last + 1)] = 1
            texts.append(text)
    return _Marked(signal, texts)


def _key(word: str, *, match_case: bool) -> str:
    """What a word and its matches have in common."""
    normal = unicodedata.normalize("NFC", word.strip() or word)
    return normal if match_case else normal.casefold()


def _checked(target: TokenTarget) -> TokenTarget:
    if not target.signal.any():
        raise ArgumentError(
            f"none of the {target.n:,} tokens of explore matches {target.what}; look at how the "
            "corpus writes it (tokens.describe counts tokens, corpus.search finds places)"
        )
    if target.moments.std == 0:
        raise ArgumentError(
            f"all {target.n:,} tokens of explore match {target.what}: there is nothing to compare "
            "with; give something that holds for a part of them"
        )
    return target
