"""Places in the contexts of a corpus that match plain words or a regular expression.

The tokens of each context are joined to a text, in which the pattern is looked for. The bytes of a
token that ends within a character can be searched for as they are shown: <0xE6><0x97>.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError
from ..subject.token_text import JoinedText, join_with_offsets

if TYPE_CHECKING:
    from ..corpus import Contexts

_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""First words of the Unicode names of characters that are written without spaces between words."""


class TokenSpan(NamedTuple):
    """First and last token of a match, and its text."""

    first: int
    last: int
    text: str


class TextPattern(NamedTuple):
    """A compiled pattern, and whether a match must not begin or end within a word."""

    expression: Any
    whole_words: bool
    shows_bytes: bool

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the text has matches, in characters."""
        spans = [match.span() for match in self.expression.finditer(text)]
        if not self.whole_words:
            return spans
        return [
            (start, end)
            for start, end in spans
            if not _within_word(text, start) and not _within_word(text, end)
        ]


def compile_pattern(pattern: str, *, regex: bool, match_case: bool = False) -> TextPattern:
    """Whole words in any casing, or an RE2 expression.

    Raises:
        UsageError: it is not an RE2 expression.
    """
    import re2

    if not regex:
        return compile_words([pattern], match_case=match_case)
    options = re2.Options()
    options.log_errors = False
    try:
        return TextPattern(re2.compile(pattern, options), False, "<0x" in pattern)
    except re2.error as error:
        raise UsageError(
            f"{pattern!r} is not an RE2 expression ({error}); "
            "RE2 has no look-around and no back-references"
        ) from None


def compile_words(words: Sequence[str], *, match_case: bool = False) -> TextPattern:
    """Any of some words or phrases, whole."""
    import re2

    bare = [word.strip() or word for word in words]
    # An accented letter may be one character or two. The longest first: one may begin another.
    forms = set(bare)
    for kind in ("NFC", "NFD"):
        forms |= {unicodedata.normalize(kind, word) for word in bare}
    either = "|".join(re2.escape(form) for form in sorted(forms, key=lambda f: (-len(f), f)))
    flags = "" if match_case else "(?i)"
    shows_bytes = any("<0x" in word for word in bare)
    return TextPattern(re2.compile(f"{flags}(?:{either})"), True, shows_bytes)


def matching_spans(
    contexts: Contexts, strings: Sequence[str], pattern: TextPattern
) -> dict[int, list[TokenSpan]]:
    """Context to the tokens of each match that is not in position 0 alone."""
    matching: dict[int, list[TokenSpan]] = {}
    lengths: list[int] = contexts.length.tolist()
    for number, length in enumerate(lengths):
        ids: list[int] = contexts.tokens[number, :length].tolist()
        tokens = [strings[i] for i in ids]
        joined = _as_shown(tokens) if pattern.shows_bytes else join_with_offsets(tokens)
        spans = list(_token_spans(joined, pattern.spans(joined.text)))
        if spans:
            matching[number] = spans
    return matching


def _within_word(text: str, place: int) -> bool:
    """Whether the characters before and after a place belong to one word, in any script.

    Scripts without spaces show no words, so that every place is between two.
    """
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    return all(
        (c.isalnum() or c == "_" or unicodedata.category(c).startswith("M"))
        and not unicodedata.name(c, "").startswith(_WITHOUT_SPACES)
        for c in (before, after)
    )


def _as_shown(strings: Sequence[str]) -> JoinedText:
    """The tokens' strings one after the other, with bytes as they are shown."""
    ends = list(accumulate(map(len, strings)))
    return JoinedText("".join(strings), list(pairwise([0, *ends])))


def _token_spans(joined: JoinedText, characters: Sequence[tuple[int, int]]) -> Iterator[TokenSpan]:
    starts, ends = [start for start, _ in joined.offsets], [end for _, end in joined.offsets]
    for start, end in characters:
        if start == end:
            continue
        first, last = bisect_right(ends, start), bisect_left(starts, end) - 1
        if last > 0:
            yield TokenSpan(max(first, 1), last, joined.text[start:end])
