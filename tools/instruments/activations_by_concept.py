"""`activations.by_concept`: a unit's activation grouped by word, lemma, grammar or named class.

1. Read the unit on contexts of explore, spread evenly: from the index's activation store, or by a pass.
2. Group the tokens: by their word; by a layer of the tagger's annotations (lemma, pos, relation,
   entity, previous_lemma, ...); by each name of a family of concepts (wordclass, kind, ...); or, for a
   concept, into where it holds, by word, and where it does not.
3. Of each group: mean activation, how many tokens, and the share that reaches the firing level, a
   quarter of the way from the median to what one token in a thousand reaches.

Groups of fewer than `least` tokens are left out, because their means say little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ..errors import ArgumentError, UnavailableError
from ..subject.address import Unit
from .readable_texts import ReadableTexts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import quote_text

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ..dissection import Lexicon, TextView

WORD = "word"
LEVEL = 0.25
"""Share of the range that counts as firing, as in a language model's experiments."""


@dataclass(frozen=True)
class ConceptGroup:
    """Tokens that have something in common.

    Attributes:
        fires: share of them that reach the firing level, by side.
    """

    name: str
    n: int
    mean: float
    fires: dict[str, float]


@dataclass(frozen=True)
class ByConcept(Result):
    """A unit's activation by group, those with the largest mean on each side first.

    Attributes:
        n: tokens read.
        mean: over all of them.
        levels: what counts as firing, by side.
        n_groups: groups with enough tokens.
        whole: of a concept, all tokens where it holds, and all where it does not.
    """

    unit: str
    by: str
    n: int
    mean: float
    levels: dict[str, float]
    n_groups: int
    highest: list[ConceptGroup]
    lowest: list[ConceptGroup]
    whole: list[ConceptGroup]

    def render(self) -> str:
        levels = ", ".join(f"{side} {level:.3g}" for side, level in self.levels.items())
        head = (
            f"{self.unit} by {self.by}, {self.n_groups} groups of {self.n:,} tokens "
            f"(mean {self.mean:+.3g}, fires from {levels}):"
        )
        return "\n".join([head, *map(_line, [*self.whole, *self.highest, *self.lowest])])


def _line(group: ConceptGroup) -> str:
    fires = ", ".join(f"fires{side} {share:.0%}" for side, share in group.fires.items())
    return f"  {quote_text(group.name)}: {group.mean:+.3g} x {group.n}, {fires}"


class _Groups(NamedTuple):
    """Names, and for each where its tokens are, among those that count."""

    names: list[str]
    members: list[Bool[np.ndarray, " token"] | Int[np.ndarray, " member"]]


@instrument("activations.by_concept", needs=("subject", "index"))
def by_concept(
    context: InstrumentContext,
    unit: UnitAddress,
    by: Annotated[
        Text,
        Field(
            description="word, lemma, pos, relation, entity or another layer of the tagger; a family "
            'with names (wordclass, kind); or a concept such as after(words("to"))'
        ),
    ] = WORD,
    k: Annotated[int, Field(ge=1, le=100, description="groups to list on each side")] = 8,
    least: Annotated[int, Field(ge=1, le=1000, description="tokens that a group needs")] = 3,
    most: Annotated[int, Field(ge=1, le=4000, description="contexts to read")] = 600,
) -> ByConcept:
    """Give a unit's mean activation by word, lemma, part of speech, relation or named class.

    Shows what a unit is about beyond its strongest exemplars: the groups with the largest means on
    both sides, each with its size and how often it fires.
    """
    from ..dissection import TextView

    address, index, subject = Unit.parse(unit), context.require_index(), context.require_subject()
    contexts = index.contexts("explore")
    chosen = np.unique(np.linspace(0, len(contexts.tokens) - 1, most).astype(int))
    texts = ReadableTexts.of_explore(subject, index, chosen.tolist())
    mask = contexts.mask[chosen]
    signal = np.zeros(mask.shape)
    for row, values in enumerate(texts.signals(address)):
        signal[row, : len(values)] = values
    text = TextView(contexts.tokens[chosen], contexts.length[chosen], _lexicon(context))
    groups = _groups(text, by, mask)
    values = signal[mask]
    levels = _levels(values, two_sided=address.side == "both" and not address.is_one_sided)
    in_groups = [(name, values[members]) for name, members in zip(*groups, strict=True)]
    rows = [_group(name, own, levels) for name, own in in_groups if len(own) >= least]
    if not rows:
        raise ArgumentError(
            f"activations.by_concept: by {by!r} gives no group of {least} tokens or more in the "
            f"{len(values):,} tokens read; give a smaller `least`, or another `by`"
        )
    whole = [group for group in rows if group.name in (by, f"not {by}")]
    rows = sorted((group for group in rows if group not in whole), key=lambda group: -group.mean)
    lowest = [g for g in rows[::-1][:k] if g.mean < values.mean()] if "-" in levels else []
    return ByConcept(
        str(address),
        by,
        len(values),
        rounded([values.mean()], 3)[0],
        levels,
        len(rows),
        [group for group in rows[:k] if group not in lowest],
        lowest,
        whole,
    )


def _group(
    name: str, values: Float[np.ndarray, " member"], levels: dict[str, float]
) -> ConceptGroup:
    fires = {
        side: rounded([float((values * (-1 if side == "-" else 1) >= level).mean())], 3)[0]
        for side, level in levels.items()
    }
    return ConceptGroup(name, len(values), rounded([values.mean()], 3)[0], fires)


def _levels(values: Float[np.ndarray, " token"], *, two_sided: bool) -> dict[str, float]:
    levels = {}
    for side, sign in (("+", 1), ("-", -1))[: 2 if two_sided else 1]:
        q50, q90, q999 = np.quantile(sign * values, [0.5, 0.9, 0.999])
        levels[side] = rounded([max(q90, q50 + LEVEL * (q999 - q50))], 3)[0]
    return levels


def _lexicon(context: InstrumentContext) -> Lexicon:
    """The subject's vocabulary, with tagger, lexica and embedding, which work when they are needed."""
    from ..annotation import SpacyAnnotator
    from ..dissection import Lexicon
    from ..lexica import Lexica

    subject = context.require_subject()
    embedding = subject.model.get_input_embeddings().weight.detach().float().cpu().numpy()
    lexicon = Lexicon.build(subject.token_strings(), embedding)
    lexicon.annotator = SpacyAnnotator(lexicon.strings, lambda line: None)
    lexicon.lexica = Lexica()
    return lexicon


def _groups(text: TextView, by: str, mask: Bool[np.ndarray, "contexts seq"]) -> _Groups:
    """The groups that `by` names; raises UsageError for what it does not name."""
    from ..dissection import parse_concept
    from ..dissection.concept_help import family_help
    from ..dissection.concepts import FAMILIES

    if by == WORD:
        return _by_code(text.lexicon.word_of_token[text.tokens][mask], text.lexicon.words)
    if "(" in by:
        holds = parse_concept(by).mask(text)[mask]
        words = np.where(holds, text.lexicon.word_of_token[text.tokens][mask], -1)
        inside = _by_code(words, text.lexicon.words)
        return _Groups([by, f"not {by}", *inside.names], [holds, ~holds, *inside.members])
    if by in FAMILIES and (names := family_help(by)[0].names):
        concepts = [FAMILIES[by].from_arguments(name) for name in names]
        return _Groups(list(names), [concept.mask(text)[mask] for concept in concepts])
    try:
        layer = text.annotations.layer(by)
    except UnavailableError as error:
        raise ArgumentError(f"activations.by_concept: {error}; group by word") from error
    return _by_code(layer.codes[mask], layer.values)


def _by_code(codes: Int[np.ndarray, " token"], names: Sequence[str]) -> _Groups:
    """A group for each code but -1."""
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    members = list(_runs(order, starts.tolist()))
    codes_present: list[int] = present.tolist()
    kept = [i for i, code in enumerate(codes_present) if code >= 0 and names[code] != ""]
    return _Groups([names[codes_present[i]] for i in kept], [members[i] for i in kept])


def _runs(
    order: Int[np.ndarray, " token"], starts: list[int]
) -> Iterator[Int[np.ndarray, " member"]]:
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield order[start:end]
