"""Trace claims: each number and quotation in a conclusion must occur in evidence, or is unsupported.

1. The findings are cut into sentences; ids in brackets ([e3], [r2, r5]) are what a sentence cites.
2. A number is supported by evidence that contains a number which rounds to it; a quotation by
   evidence that contains it as whole words or whole marked tokens.
3. Cited evidence is searched first, then all other. No language model has a say in this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from ..protocol import Claim

_CITED = re.compile(r"\[((?:[erhERH]\d+)(?:\s*[,;]\s*[erhERH]\d+)*)\]")
_SENTENCE = re.compile(r"(?<=[.!?])(?:\s+|$)|\n+")
_QUOTE = re.compile(r'"([^"\n]{1,200})"|“([^”\n]{1,200})”|«([^»\n]{1,200})»')
_NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?%?(?![\w])")
_MARK = re.compile(r"[«»]\d?")


class _Statement(NamedTuple):
    text: str
    is_number: bool
    cited: tuple[str, ...]


class _Evidence(NamedTuple):
    """A piece of evidence, prepared for searching."""

    folded: str
    """On one line and in lower case; marked tokens occur twice, within their word and on their own."""
    numbers: list[float]

    @classmethod
    def of(cls, text: str) -> _Evidence:
        plain = f"{_MARK.sub('', text)}\n{_MARK.sub(' ', text)}"
        return cls(_fold(plain), [_value(match[0]) for match in _NUMBER.finditer(plain)])


def trace_claims(findings: str, evidence: Mapping[str, str]) -> tuple[Claim, ...]:
    """The claims in some findings, each with the ids of the evidence that supports it.

    Args:
        findings: what the explainer wrote.
        evidence: text by id.
    """
    if not findings.strip():
        return ()
    prepared = {id: _Evidence.of(text) for id, text in evidence.items()}
    claims: dict[str, Claim] = {}
    for statement in _statements(findings):
        if statement.text not in claims:
            claims[statement.text] = Claim(statement.text, _support(statement, prepared))
    return tuple(claims.values())


def _support(statement: _Statement, evidence: Mapping[str, _Evidence]) -> tuple[str, ...]:
    """Ids of the cited evidence that supports a statement, or else the first other that does."""
    search = _contains_number if statement.is_number else _contains_quote
    supports = search(statement.text)
    cited = tuple(id for id in statement.cited if id in evidence and supports(evidence[id]))
    if cited:
        return cited
    return tuple(islice((id for id, prepared in evidence.items() if supports(prepared)), 1))


def _statements(findings: str) -> Iterator[_Statement]:
    # A citation after the full stop belongs to the sentence before it.
    moved = re.sub(r"([.!?])(\s*\[[erhERH]\d+[^\]]*\])", r"\2\1", findings)
    for sentence in filter(None, _SENTENCE.split(moved)):
        ids = re.split("[,;]", ",".join(match[1] for match in _CITED.finditer(sentence)))
        cited = tuple(id.strip().lower() for id in ids)
        bare = _CITED.sub(" ", sentence)
        for match in _QUOTE.finditer(bare):
            yield _Statement(next(filter(None, match.groups())), False, cited)
        for match in _NUMBER.finditer(_QUOTE.sub(" ", bare)):
            yield _Statement(match[0], True, cited)


def _value(text: str) -> float:
    number = float(text.rstrip("%").replace("−", "-").replace(",", ""))
    return number / 100 if text.endswith("%") else number


def _contains_number(text: str) -> Callable[[_Evidence], bool]:
    """Whether evidence has a number that rounds to this one; without a sign, either sign will do."""
    claimed = _value(text)
    decimals = len(text.rstrip("%").partition("e")[0].partition(".")[2])
    if text.endswith("%"):
        decimals += 2
    tolerance = 0.5 * 10.0**-decimals * (1 + 1e-9)
    signs = (1.0, -1.0) if text[0].isdigit() else (1.0,)
    return lambda evidence: any(
        abs(claimed - sign * number) <= tolerance for number in evidence.numbers for sign in signs
    )


def _contains_quote(quote: str) -> Callable[[_Evidence], bool]:
    """Whether evidence has the quotation as whole words."""
    folded = _fold(quote.strip(" .,;:!?"))
    if not folded:
        return lambda _: False
    before = r"(?<!\w)" if folded[0].isalnum() else ""
    after = r"(?!\w)" if folded[-1].isalnum() else ""
    pattern = re.compile(before + re.escape(folded) + after)
    # The plain test first: it is fast, and most evidence does not contain the quotation.
    return lambda evidence: folded in evidence.folded and bool(pattern.search(evidence.folded))


def _fold(text: str) -> str:
    return " ".join(text.lower().split())
