"""Whether a text is English enough for an English tagger, by a rule that needs no tagger.

1. Of a text's words (runs of letters), count those that are common English function words and not
   common in a neighbouring language. Lee news and Wikipedia have 28 % of them, code with English
   comments 15 %, C headers 8 %, German 1 %, Chinese none. At least LEAST_SHARE are needed.
2. Count the words for each mark that ends a sentence: 22 in news and Wikipedia, 77 in C headers. More
   than MOST_WORDS are no sentences but a list, a table or code.
3. Count the tokens for each word. Where tokens are bytes or single characters, a context of 64 tokens
   holds no sentence, and a tagger would parse scraps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from ..subject.token_text import join_tokens

_LISTED = (
    "the of and to that for with his as are this by from have be at which you been has had but they "
    "their would who about there when can it he she not were its what if my your"
)
FUNCTION_WORDS = frozenset(_LISTED.split())
LEAST_SHARE = 0.12
MOST_WORDS = 50.0
MOST_TOKENS = 3.0
"""Tokens for each word, of which English has 1.2 to 1.6 with a common vocabulary (marks included)."""
MOST_CONTEXTS = 1000
"""Contexts that are looked at, evenly spaced: enough for shares of words, at most 0.1 s."""
_WORD = re.compile(r"[^\W\d_]+")
_END = re.compile(r"[.!?][\"'”’)\]]*(?=\s|$)")


def english_problem(
    strings: Sequence[str],
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, " contexts"],
) -> str:
    """Why an English tagger does not suit a text, or ""."""
    rows = np.unique(np.linspace(0, len(tokens) - 1, min(len(tokens), MOST_CONTEXTS)).astype(int))
    words, n_tokens, n_ends = list[str](), 0, 0
    for row in rows:
        ids: list[int] = tokens[row, : length[row]].tolist()
        text = join_tokens([strings[i] for i in ids]).lower()
        words += _WORD.findall(text)
        n_ends += len(_END.findall(text))
        n_tokens += len(ids)
    if not words:
        return "the text has no words"
    share = sum(word in FUNCTION_WORDS for word in words) / len(words)
    if share < LEAST_SHARE:
        return (
            f"the text is not English prose: {share:.0%} of its words are common English function "
            f"words, and prose has at least {LEAST_SHARE:.0%}"
        )
    if len(words) > MOST_WORDS * n_ends:
        return (
            f"the text has no sentences: {n_ends} full stops, question and exclamation marks for "
            f"{len(words):,} words, and prose has one for at most {MOST_WORDS:g}"
        )
    if n_tokens > MOST_TOKENS * len(words):
        return (
            f"the subject's tokens are too short: {n_tokens / len(words):.1f} for each word, and "
            f"contexts hold sentences up to {MOST_TOKENS:g}"
        )
    return ""
