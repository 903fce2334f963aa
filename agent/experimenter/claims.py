"""Claims of a conclusion, traced: every number and quotation stands in the evidence that it cites, or is unsupported.

1. The findings are cut into sentences; ids in brackets ([e3], [r2, r5]) are what a sentence cites.
2. A number is found in a piece of evidence when a number there rounds to it; a quotation when it stands there as
   whole words or whole marked tokens.
3. Cited evidence is looked at first, then all other: what stands elsewhere is traced to there, what stands nowhere is
   unsupported. No language model has a say in this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..case import Claim

_CITED = re.compile(r"\[((?:[erhERH]\d+)(?:\s*[,;]\s*[erhERH]\d+)*)\]")
_SENTENCE = re.compile(r"(?<=[.!?])(?:\s+|$)|\n+")
_QUOTE = re.compile(r'"([^"\n]{1,200})"|“([^”\n]{1,200})”|«([^»\n]{1,200})»')
_NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?%?(?![\w])")
_MARK = re.compile(r"[«»]\d?")


class _Stated(NamedTuple):
    text: str
    number: bool
    cited: tuple[str, ...]


def trace(findings: str, evidence: Mapping[str, str]) -> tuple[Claim, ...]:
    """The claims of some findings, each with the ids of the evidence that holds it.

    Args:
        findings: what the explainer wrote.
        evidence: text by id.
    """
    # Marked tokens stand there twice: within their word, and on their own.
    plain = {id: f"{_MARK.sub('', text)}\n{_MARK.sub(' ', text)}" for id, text in evidence.items()}
    numbers = {id: [_value(m[0]) for m in _NUMBER.finditer(text)] for id, text in plain.items()}
    claims: dict[str, Claim] = {}
    for stated in _stated(findings):
        claims.setdefault(stated.text, _traced(stated, plain, numbers))
    return tuple(claims.values())


def _traced(stated: _Stated, plain: Mapping[str, str], numbers: Mapping[str, list[float]]) -> Claim:
    def holds(id: str) -> bool:
        return _among(stated.text, numbers[id]) if stated.number else _said(stated.text, plain[id])

    cited = [id for id in stated.cited if id in plain and holds(id)]
    return Claim(stated.text, tuple(cited or [id for id in plain if holds(id)][:1]))


def _stated(findings: str) -> Iterator[_Stated]:
    for sentence in _sentences(findings):
        cited = tuple(id.strip().lower() for found in _CITED.finditer(sentence) for id in re.split("[,;]", found[1]))
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


def _among(text: str, values: list[float]) -> bool:
    """Whether one of the values is that number to the digits that are given; its sign may be left out."""
    claimed = _value(text)
    digits = text.rstrip("%").partition("e")[0].partition(".")[2]
    width = 0.5 * 10.0 ** -(len(digits) + (2 if text.endswith("%") else 0)) * (1 + 1e-9)
    return any(abs(claimed - v) <= width or (text[0].isdigit() and abs(claimed + v) <= width) for v in values)


def _said(quote: str, text: str) -> bool:
    folded = " ".join(quote.lower().strip(" .,;:!?").split())
    if not folded:
        return False
    before, after = (r"(?<!\w)" if folded[0].isalnum() else "", r"(?!\w)" if folded[-1].isalnum() else "")
    return re.search(before + re.escape(folded) + after, " ".join(text.lower().split())) is not None
