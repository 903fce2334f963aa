"""Tokens with activations as short text for an explainer.

    … said on « Monday»9 morning that the « Tuesday»7 …

A token whose signal is at least 0.3 of the strongest is put between « and », followed by its tenths
of the strongest (9 is the strongest itself), with a minus if the signal is negative. The text is
quoted data from a corpus: line breaks and the marks themselves are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..subject.token_text import join_tokens

SHOWN_FROM = 0.3
"""Share of the strongest signal from which a token is marked: with less, most neurons' marks cover
ordinary text."""
BEFORE, AFTER = 16, 4
"""Tokens shown around the peak; what a causal model's unit responds to comes before it."""
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def quote_text(text: str) -> str:
    """Text on one line: ⏎ for line breaks, ⇥ for tabs, escapes for invisible characters, ‹› for «»."""
    if text.isascii() and text.isprintable():  # nearly all tokens, and each is quoted many times
        return text
    text = text.replace("\n", "⏎").replace("\t", "⇥").replace("«", "‹").replace("»", "›")
    return _INVISIBLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def mark_active_tokens(
    tokens: Sequence[str], signal: Sequence[float], strongest: float, peak: int | None = None
) -> str:
    """A text with its active tokens marked, cut to the surroundings of `peak` if one is given."""
    first = 0 if peak is None else max(0, peak - BEFORE)
    last = len(tokens) if peak is None else min(len(tokens), peak + AFTER + 1)
    body = mark_tokens(tokens[first:last], signal[first:last], strongest)
    return ("… " if first else "") + body.strip() + (" …" if last < len(tokens) else "")


def mark_tokens(tokens: Sequence[str], signal: Sequence[float], strongest: float) -> str:
    """Quote tokens, and mark each as the module describes if its signal is strong enough."""
    parts, unmarked = list[str](), list[str]()
    for token, value in zip(tokens, signal, strict=True):
        if strongest <= 0 or abs(value) < SHOWN_FROM * strongest:
            unmarked.append(token)  # a character may be spread over several of them
            continue
        parts += [quote_text(join_tokens(unmarked)), mark_token(token, value, strongest)]
        unmarked = []
    return "".join(parts) + quote_text(join_tokens(unmarked))


def mark_token(token: str, signal: float, strongest: float) -> str:
    """Quote a token, and mark it as the module describes if its signal is strong enough."""
    if strongest <= 0 or abs(signal) < SHOWN_FROM * strongest:
        return quote_text(token)
    sign = "-" if signal < 0 else ""
    tenths = min(9, int(10 * abs(signal) / strongest))
    return f"«{quote_text(token)}»{sign}{tenths}"


def format_token_values(tokens: Sequence[str], values: Sequence[float], form: str = "+.2f") -> str:
    """``" Monday" +3.20, " Tuesday" +2.91``."""
    return ", ".join(
        f'"{quote_text(token)}" {value:{form}}' for token, value in zip(tokens, values, strict=True)
    )
