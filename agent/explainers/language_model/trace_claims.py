"""Claims of a conclusion, traced: every number and quotation stands in the evidence that it cites,
or is unsupported.

1. The findings are cut into sentences; ids in brackets ([e3], [r2, r5]) are what a sentence cites.
2. A number is found in a piece of evidence when a number there rounds to it; a quotation when it
   stands there as whole words or whole marked tokens.
3. Cited evidence is looked at first, then all other: what stands elsewhere is traced to there, what
   stands nowhere is unsupported. No language model has a say in this.
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


class _Stated(NamedTuple):
    text: str
    number: bool
    cited: tuple[str, ...]


class _Evidence(NamedTuple):
    """A piece of evidence as claims are looked for in it."""

    folded: str
    """On one line and in small letters; marked tokens stand there twice, within their word and on their own."""
    numbers: list[float]

    @classmethod
    def of(cls, text: str) -> _Evidence:
        plain = f"{_MARK.sub('', text)}\n{_MARK.sub(' ', text)}"
        return cls(_folded(plain), [_value(found[0]) for found in _NUMBER.finditer(plain)])


def trace_claims(findings: str, evidence: Mapping[str, str]) -> tuple[Claim, ...]:
    """The claims of some findings, each with the ids of the evidence that holds it.

    Args:
        findings: what the explainer wrote.
        evidence: text by id.
    """
    if not findings.strip():
        return ()
    held = {id: _Evidence.of(text) for id, text in evidence.items()}
    claims: dict[str, Claim] = {}
    for stated in _stated(findings):
        if stated.text not in claims:
            claims[stated.text] = _traced(stated, held)
    return tuple(claims.values())


def _traced(stated: _Stated, evidence: Mapping[str, _Evidence]) -> Claim:
    holds = _among(stated.text) if stated.number else _said(stated.text)
    cited = tuple(id for id in stated.cited if id in evidence and holds(evidence[id]))
    return Claim(
        stated.text, cited or tuple(islice((id for id, held in evidence.items() if holds(held)), 1))
    )


def _stated(findings: str) -> Iterator[_Stated]:
    for sentence in _sentences(findings):
        cited = tuple(
            id.strip().lower()
            for found in _CITED.finditer(sentence)
            for id in re.split("[,;]", found[1])
        )
        bare = _CITED.sub(" ", sentence)
        for found in _QUOTE.finditer(bare):
            yield _Stated(next(group for group in found.groups() if group), False, cited)
        for found in _NUMBER.finditer(_QUOTE.sub(" ", bare)):
            yield _Stated(found[0], True, cited)


def _sentences(findings: str) -> Iterator[str]:
    """A citation that follows the full stop belongs to the sentence before it."""
    moved = re.sub(r"([.!?])(\s*\[[erhERH]\d+[^\]]*\])", r"\2\1", findings)
    yield from (sentence for sentence in _SENTENCE.split(moved) if sentence)


def _value(text: str) -> float:
    number = float(text.rstrip("%").replace("−", "-").replace(",", ""))
    return number / 100 if text.endswith("%") else number


def _among(text: str) -> Callable[[_Evidence], bool]:
    """Whether a number in it is that number to the digits that are given; its sign may be left out."""
    claimed = _value(text)
    digits = text.rstrip("%").partition("e")[0].partition(".")[2]
    width = 0.5 * 10.0 ** -(len(digits) + (2 if text.endswith("%") else 0)) * (1 + 1e-9)
    signs = (1.0, -1.0) if text[0].isdigit() else (1.0,)
    return lambda held: any(
        abs(claimed - sign * v) <= width for v in held.numbers for sign in signs
    )


def _said(quote: str) -> Callable[[_Evidence], bool]:
    """Whether it stands there as whole words."""
    folded = _folded(quote.strip(" .,;:!?"))
    if not folded:
        return lambda _: False
    before, after = (
        r"(?<!\w)" if folded[0].isalnum() else "",
        r"(?!\w)" if folded[-1].isalnum() else "",
    )
    pattern = re.compile(before + re.escape(folded) + after)
    return lambda held: folded in held.folded and pattern.search(held.folded) is not None


def _folded(text: str) -> str:
    return " ".join(text.lower().split())
