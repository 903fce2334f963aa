"""Which test contexts the explainer of an imported explanation had in its own prompt.

1. Text is compared as runs of eight words, in small letters: exemplars are cut elsewhere than the
   contexts here, often by another tokenizer.
2. A test context *leaks* into an explanation if a run of eight words occurs in it and in a text that
   the file shows: in the explainer's prompt (`prompt`), or among exemplars of which the file does not
   say who saw them (`shown`). Texts on which the other tool scored are no leak.
3. An exemplar of five to seven words is looked for as a whole, as one run; a shorter one is counted.

Contexts that leak are left out of everything that is measured for that explanation.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from ...tools.subject.token_text import join_tokens
from ..exchange.records import ExplainedUnit

RUN = 8
"""Words. Of 160 held-out contexts of lee-news (46 words each), so many share a run with 320 contexts of
other documents: 20 a run of five words, 9 of six, 3 of seven, none of eight."""
SHORTEST = 5
"""Fewer words are said by chance."""
_WORD = re.compile(r"\w+")
_SPACES = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n"})
"""How byte-level and SentencePiece vocabularies spell spaces, in files that keep the raw tokens."""


@dataclass(frozen=True)
class Leaks:
    """Test contexts that an explanation's own texts show, as rows of the holdout.

    Attributes:
        in_prompt: the file says that the explainer saw them.
        among_shown: the file shows them, and not who saw them; without those of `in_prompt`.
        texts: how many texts were looked for.
        too_short: texts that were not, because they have fewer than five words.
    """

    in_prompt: tuple[int, ...] = ()
    among_shown: tuple[int, ...] = ()
    texts: int = 0
    too_short: int = 0

    @property
    def contexts(self) -> tuple[int, ...]:
        """All of them."""
        return tuple(sorted({*self.in_prompt, *self.among_shown}))

    def to_json(self) -> dict[str, Any]:
        """A row's entry in `hubel eval --json`."""
        return {
            "in_prompt": len(self.in_prompt),
            "among_shown": len(self.among_shown),
            "texts": self.texts,
            "too_short": self.too_short,
        }


class HeldoutWords:
    """The runs of words of all test contexts.

    Args:
        tokens, length: of the holdout.
        vocabulary: each token's text by id.
    """

    def __init__(
        self,
        tokens: Int[np.ndarray, "context seq"],
        length: Int[np.ndarray, " context"],
        vocabulary: Sequence[str],
    ) -> None:
        self._words = [
            words_of([vocabulary[int(token)] for token in row[:n]])
            for row, n in zip(tokens, length, strict=True)
        ]
        self._places: dict[int, dict[tuple[str, ...], set[int]]] = {}

    def contexts_with(self, words: Sequence[str]) -> set[int]:
        """Contexts that share a run of words with a text."""
        size = min(RUN, len(words))
        places = self._places_of(size)
        return {context for run in _runs(words, size) for context in places.get(run, ())}

    def _places_of(self, size: int) -> dict[tuple[str, ...], set[int]]:
        """Every run of that many words, with the contexts that have it; made on first use."""
        if size not in self._places:
            places: dict[tuple[str, ...], set[int]] = defaultdict(set)
            for context, words in enumerate(self._words):
                for run in _runs(words, size):
                    places[run].add(context)
            self._places[size] = dict(places)
        return self._places[size]


def find_leaks(unit: ExplainedUnit, heldout: HeldoutWords) -> Leaks:
    """The test contexts that the texts of an imported explanation show."""
    by_role: dict[str, set[int]] = {"prompt": set(), "shown": set()}
    too_short = 0
    texts = [(text.role, words_of(text.tokens)) for text in unit.texts_of("prompt", "shown")]
    # What was said to the explainer is a prompt, too.
    texts += [
        ("prompt", words_of([said.text])) for said in unit.conversation if said.speaker == "user"
    ]
    for role, words in texts:
        if len(words) < SHORTEST:
            too_short += 1
            continue
        by_role[role] |= heldout.contexts_with(words)
    shown_only = by_role["shown"] - by_role["prompt"]
    return Leaks(tuple(sorted(by_role["prompt"])), tuple(sorted(shown_only)), len(texts), too_short)


def words_of(tokens: Sequence[str]) -> list[str]:
    """The words of a text, in small letters."""
    return _WORD.findall(join_tokens(tokens).translate(_SPACES).lower())


def _runs(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(len(words) - size + 1):
        yield tuple(words[start : start + size])
