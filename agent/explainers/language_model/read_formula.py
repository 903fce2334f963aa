"""A formula as a language model writes it: what can be read is kept, term by term.

1. The text is cut at the operators between its terms, and each term is parsed alone.
2. A term that cannot be parsed, or does not run on the corpus, is left out. It is named, with the
   existing names that are nearest to what was written.
3. Terms with grades stay as they were written; if any term has none, the program fits all of them.
   Where a fitted grade or sign is not the written one, both are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from ....tools.dissection import Predicate, WeightedConcept, parse_formula
from ....tools.dissection.concepts.wordclass import classes
from ....tools.dissection.predicate import limit_problem
from ....tools.errors import ArgumentError, UsageError

if TYPE_CHECKING:
    from .state import InvestigationState

MAX_PREDICATE = 1500
"""Characters of a predicate; the limits of the language itself allow about 900."""
MAX_WHY = 300
NEAREST = 6
_LISTING = re.compile(r"(?:there are|one of) (.+?)(?:, not |$)", re.DOTALL)
_QUOTED = re.compile(r"""['"]([^'"]+)['"]""")
_UNREADABLE = (UsageError, ValueError, OverflowError, RecursionError)


class WrittenPiece(NamedTuple):
    """A term as it was written, with its operator."""

    operator: str
    text: str


@dataclass(frozen=True)
class ReadFormula:
    """What was read: the printed predicate, None if no term could be, and what its writer is told."""

    predicate: str | None
    notes: tuple[str, ...] = ()


def read_formula(written: str, state: InvestigationState) -> ReadFormula:
    """Read a formula term by term; raises ArgumentError if it is too long or has no term."""
    if len(written) > MAX_PREDICATE:
        raise ArgumentError(f"the predicate has {len(written)} characters; at most {MAX_PREDICATE}")
    pieces, scale = _split(" ".join(written.split()))
    notes: list[str] = []
    readable: list[WrittenPiece] = []
    for piece in pieces:
        if why := _unreadable(piece):
            notes.append(f"without {piece.text}: {why}")
        elif _concept(piece) in map(_concept, readable):
            notes.append(f"without the second {_concept(piece)}")
        else:
            readable.append(piece)
    printed, more = _run(readable, scale, state)
    if printed is None and readable:  # which term is it?
        problems = [_unusable(piece, state) for piece in readable]
        notes += [
            f"without {p.text}: {why}" for p, why in zip(readable, problems, strict=True) if why
        ]
        usable = [p for p, why in zip(readable, problems, strict=True) if not why]
        if len(usable) < len(readable):
            printed, more = _run(usable, scale, state)
    return ReadFormula(printed, (*notes, *more))


def _run(
    pieces: Sequence[WrittenPiece], scale: str, state: InvestigationState
) -> tuple[str | None, list[str]]:
    """The printed formula of readable terms, None if it cannot be run; and what its writer is told."""
    if not pieces:
        return None, []
    if all(map(_is_graded, pieces)) and (printed := _as_written(pieces, scale)):
        problem = state.fit(printed).problem
        return (None, [f"without a formula: {problem[:MAX_WHY]}"]) if problem else (printed, [])
    return _fitted(pieces, state)


# 1. terms


def _split(written: str) -> tuple[list[WrittenPiece], str]:
    """The terms with their operators, and the scale after the semicolon."""
    pieces, operator, start, depth, quoted = list[WrittenPiece](), "+", 0, 0, False
    at = 0
    while at < len(written) and (quoted or depth or written[at] != ";"):
        character = written[at]
        if character == "\\" and quoted:
            at += 1
        elif character == '"':
            quoted = not quoted
        elif not quoted:
            depth = max(0, depth + (character == "(") - (character == ")"))
            length = 0 if depth else _operator_at(written, at)
            if length:
                pieces.append(WrittenPiece(operator, written[start:at].strip()))
                operator, start = written[at : at + length].strip(), at + length
                at = start - 1
        at += 1
    pieces.append(WrittenPiece(operator, written[start:at].strip()))
    terms = [piece for piece in pieces if piece.text and piece.text != "nothing"]
    if not terms:
        raise ArgumentError("the predicate has no term; leave it out, or name at least one concept")
    return terms, written[at:]


def _operator_at(written: str, at: int) -> int:
    """Length of the operator that begins there, or 0."""
    if written[at] in "+-":
        return 1
    return len(match[0]) if (match := re.compile(r"\bexcept\s").match(written, at)) else 0


def _unreadable(piece: WrittenPiece) -> str:
    """Why a term cannot be parsed, or ""."""
    try:
        parsed = parse_formula(piece.text)
        for term in parsed.terms:
            WeightedConcept(term.concept, term.grade or "faintly")
    except _UNREADABLE as error:
        return _with_nearest(str(error))
    return ""


def _unusable(piece: WrittenPiece, state: InvestigationState) -> str:
    """Why a term alone cannot be run, or ""."""
    if not parse_formula(piece.text).terms:
        return ""  # a list of tokens
    concept = _concept(piece)
    return state.grade((concept,)).problem.removeprefix(f"{concept} ")[:MAX_WHY]


def _with_nearest(message: str) -> str:
    """An error with the nearest of the names that it lists, instead of all of them."""
    listing, quoted = _LISTING.search(message), _QUOTED.findall(message)
    if listing is None or not quoted or listing[1].count(",") < NEAREST:
        return message[:MAX_WHY]
    near = nearest_names(quoted[-1], listing[1].split(", "))
    what = message[: listing.start()].removesuffix(" is ").rstrip("; ")
    what = what if quoted[-1] in what else f"no {what} {quoted[-1]!r}"
    return f"{what}; nearest: {', '.join(near)}; `concepts` lists all"


def nearest_names(given: str, names: Sequence[str]) -> list[str]:
    """The names most like one that does not exist: they share a word, look alike, or contain it."""
    words = {word.removesuffix("s") for word in given.lower().split()}
    holding = [n for n in names if given.lower() in classes().get(n, ())]
    sharing = [n for n in names if any(word in n.lower() for word in words if len(word) > 2)]
    alike = get_close_matches(given.lower(), names, n=NEAREST, cutoff=0.5)
    anything = get_close_matches(given.lower(), names, n=3, cutoff=0.0)
    return list(dict.fromkeys([*alike[:2], *sharing, *holding, *alike, *anything]))[:NEAREST]


# 2. grades


def _is_graded(piece: WrittenPiece) -> bool:
    terms = parse_formula(piece.text).terms
    return not terms or bool(terms[0].grade)


def _concept(piece: WrittenPiece) -> str:
    terms = parse_formula(piece.text).terms
    return terms[0].concept.to_text() if terms else piece.text


def _as_written(pieces: Sequence[WrittenPiece], scale: str) -> str | None:
    """The printed form with the written grades; None if it breaks a limit that fitting keeps."""
    text = " ".join(f"{piece.operator} {piece.text}" for piece in pieces)
    try:
        predicate = Predicate.parse(f"{text.removeprefix('+ ')}{scale}")
    except _UNREADABLE as error:
        if "must be larger" in str(error) or scale:
            raise ArgumentError(f"the scale of the predicate cannot be read: {error}") from None
        return None
    if not (isfinite(predicate.step) and isfinite(predicate.rest)):
        raise ArgumentError("step and rest of the predicate must be numbers; leave them out")
    return None if limit_problem(predicate.terms, predicate.listed) else predicate.to_text()


def _fitted(
    pieces: Sequence[WrittenPiece], state: InvestigationState
) -> tuple[str | None, list[str]]:
    """The printed form with fitted grades, and where they are not the written ones."""
    concepts = tuple(_concept(piece) for piece in pieces if parse_formula(piece.text).terms)
    graded = state.grade(concepts)
    if graded.problem:
        return None, [f"without a formula, since no grades can be found: {graded.problem[:900]}"]
    notes = [f"without {graded.left_out}"] if graded.left_out else []
    if changed := list(_changes(pieces, graded.predicate)):
        notes.append(f"with fitted degrees instead of yours: {', '.join(changed)}")
    return graded.predicate, notes


def _changes(pieces: Sequence[WrittenPiece], printed: str) -> Iterator[str]:
    """Terms whose written grade, or minus, is not the fitted one."""
    fitted = {term.concept.to_text(): term for term in parse_formula(printed).terms}
    for piece in pieces:
        term = fitted.get(_concept(piece))
        for written in parse_formula(piece.text).terms:
            sign = -1 if piece.operator == "-" else 1
            same = term is None or (
                written.grade in ("", term.grade) and (sign == term.sign or not written.grade)
            )
            if not same and term is not None:
                was = f"{'-' if sign < 0 else '+'} {written.grade}"
                yield f"{_concept(piece)} {was} -> {'-' if term.sign < 0 else '+'} {term.grade}"
