"""`activations.search`: of all units, which are furthest above what they usually do?

1. On a text: each unit's largest activation there, at all tokens or at those of a part of it.
2. On a token: each unit's mean over the token's places in explore. At most `MOST_PLACES` of them are
   read, from the activation store, or `MOST_PLACES_OF_A_PASS` by a pass of the subject.
3. These are compared, on each side, with the unit's mean and standard deviation over explore.

Position 0 is an attention sink and never counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ..errors import ArgumentError
from ..subject.input_texts import pad_token_ids, tokenize_texts
from .index_sites import Kind, chosen_sites, describe_sites
from .registry import InstrumentContext, Result, Text, instrument, rounded
from .rendering import quote_text

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ..index import Index
    from ..subject import Subject
    from ..subject.address import Site

MOST_PLACES = 64
"""Of a token: the standard error of a mean is then an eighth of a standard deviation, and the search
takes a CPU-second on the default subject."""
MOST_PLACES_OF_A_PASS = 12
"""Each is a whole context; 12 take 2 CPU-seconds on the default subject."""


@dataclass(frozen=True)
class Hit:
    """A unit that fires on a text or token more than it usually does.

    Attributes:
        unit: address with the side that fires.
        z: standard deviations above (for the side -: below) the unit's mean on explore.
        activation: the largest on the text, or the mean over the token's places.
        share_of_largest: of that side's largest activation on explore; more than 1 is more than was
            ever seen there.
        position: of the token in the text; None for a token of the corpus.
    """

    unit: str
    z: float
    activation: float
    share_of_largest: float
    position: int | None
    token: str


@dataclass(frozen=True)
class Search(Result):
    """Units that fire more than usual on a text or a token, the most unusual first.

    Attributes:
        text: "" for a token of the corpus.
        tokens: of the text; or the vocabulary's tokens that were looked for.
        covers: which units were compared, and on what.
    """

    text: str
    tokens: list[str]
    n_units: int
    hits: list[Hit]
    covers: str = ""

    def render(self) -> str:
        head = f"of {self.covers}, those furthest above what they usually do:"
        return "\n".join([head, *map(_line, self.hits)])


def _line(hit: Hit) -> str:
    where = "on average" if hit.position is None else f"(token {hit.position})"
    return (
        f'  {hit.unit}: {hit.activation:+.3g} on "{quote_text(hit.token)}" {where}, '
        f"{hit.z:.1f} standard deviations, {hit.share_of_largest:.0%} of its largest"
    )


@instrument("activations.search", needs=("subject", "index"))
def search(
    context: InstrumentContext,
    text: Text | None = None,
    token: Annotated[
        Text | None,
        Field(
            description="with a text: what to look at, where it last occurs; alone: a token of the corpus"
        ),
    ] = None,
    k: Annotated[int, Field(ge=1, le=200)] = 10,
    sites: Annotated[
        list[Kind] | None, Field(min_length=1, description="default: all of the index")
    ] = None,
    layers: Annotated[list[int] | None, Field(description="default: all of the index")] = None,
) -> Search:
    """Rank all units by how unusual they are on a text that you write, or on a token.

    Ranks both sides of every unit by how many standard deviations its strongest token lies from its
    mean on explore. With a token alone (" Monday"), by its mean where the corpus has that token.
    """
    subject, index = context.require_subject(), context.require_index()
    chosen = chosen_sites(index, sites, layers)
    if text is not None:
        return _search_text(subject, index, chosen, text, token, k)
    if token is None:
        raise ArgumentError(
            "activations.search: nothing to look at; give a text, a token of the corpus, or both"
        )
    return _search_token(subject, index, chosen, token, k)


class _TokenActivations(NamedTuple):
    """What a site's units do at some tokens, of which each side's best counts."""

    values: Float[np.ndarray, "token unit"]
    positions: Sequence[int | None]
    tokens: Sequence[str]


def _search_text(
    subject: Subject, index: Index, sites: Sequence[Site], text: str, token: str | None, k: int
) -> Search:
    (tokenized,) = tokenize_texts(subject, [text])
    positions = tokenized.positions(token)
    captured = subject.capture(pad_token_ids([tokenized]), sites).activations
    tokens = [tokenized.tokens[position] for position in positions]
    hits = [
        hit
        for site in sites
        for hit in _hits(
            site,
            index,
            _TokenActivations(
                captured[site][0, positions].float().cpu().numpy(), positions, tokens
            ),
            k,
        )
    ]
    where = f"{len(positions)} token{'s' * (len(positions) != 1)} of the text"
    return Search(
        text,
        tokenized.tokens,
        sum(index.shape.count(site) for site in sites),
        sorted(hits, key=lambda hit: -hit.z)[:k],
        f"{describe_sites(index, sites)} on {where}",
    )


def _search_token(
    subject: Subject, index: Index, sites: Sequence[Site], token: str, k: int
) -> Search:
    from ..index.activation_store.tokens import TokenPlaces, TokenSource

    strings = subject.token_strings()
    contexts = index.contexts("explore")
    ids = _ids_of(subject, strings, token)
    at = np.nonzero(np.isin(contexts.tokens, ids) & contexts.mask)
    n = len(at[0])
    if not n:
        raise ArgumentError(
            f"activations.search: the token {token!r} is not in the {int(contexts.mask.sum()):,} "
            "tokens of explore; give a text that has it"
        )
    source = TokenSource(subject, index, sites)
    most = MOST_PLACES_OF_A_PASS if source.by_pass else MOST_PLACES
    kept = np.sort(np.random.default_rng(0).permutation(n)[:most])
    places = TokenPlaces(at[0][kept], at[1][kept])
    sums = {site: np.zeros(index.shape.count(site)) for site in sites}

    def add(
        site: Site, _: Int[np.ndarray, " token"], values: Float[np.ndarray, "token unit"]
    ) -> None:
        sums[site] += values.sum(axis=0, dtype=np.float64)

    source.read(places, dict.fromkeys(sites), add)
    counts = Counter(contexts.tokens[at].tolist())
    tokens = [strings[number] for number, _ in counts.most_common()]
    hits = [
        hit
        for site, total in sums.items()
        for hit in _hits(
            site, index, _TokenActivations(total[None] / len(kept), [None], tokens[:1]), k
        )
    ]
    origin = "a pass of the subject" if source.by_pass else "the activation store"
    return Search(
        "",
        tokens,
        sum(index.shape.count(site) for site in sites),
        sorted(hits, key=lambda hit: -hit.z)[:k],
        f"{describe_sites(index, sites)} on {len(kept)} of the {n} places of "
        f"{' and '.join(f'{quote_text(t)!r}' for t in tokens)} in explore (from {origin})",
    )


def _ids_of(subject: Subject, strings: Sequence[str], token: str) -> list[int]:
    """The vocabulary's tokens of this text; without a space before it, those with one as well.

    Raises:
        ArgumentError: it is not a single token.
    """
    forms = {token} if token != token.strip() else {token, f" {token}"}
    ids = [number for number, string in enumerate(strings) if string in forms]
    if not ids:
        pieces = [strings[number] for number in subject.tokenize(token).ids]
        raise ArgumentError(
            f"activations.search: {token!r} is not one token but {len(pieces)}: {pieces[:8]}; give "
            "one token, a text that has it, or look for words with units.matching"
        )
    return ids


def _hits(site: Site, index: Index, activations: _TokenActivations, k: int) -> Iterator[Hit]:
    """The k most unusual units of a site on each side; a head's norm has one side."""
    usual = index.site_statistics(site)
    spread = np.where(usual.std > 0, usual.std, np.inf)
    for sign in (1,) if site.is_one_sided else (1, -1):
        signed = sign * activations.values
        best = signed.max(axis=0)
        z = np.where(best > 0, (best - sign * usual.mean) / spread, -np.inf)
        largest = usual.max if sign > 0 else -usual.min
        for column in np.argsort(-z, kind="stable")[:k].tolist():
            if not np.isfinite(z[column]) or z[column] <= 0:
                break
            unit = index.shape.unit(site, column)
            sided = unit if site.is_one_sided else replace(unit, side="+" if sign > 0 else "-")
            place = int(signed[:, column].argmax())
            # The unit may never have fired on this side of explore: no division by 0.
            share = best[column] / max(largest[column], best[column] * 1e-6)
            z_score, activation, share_of_largest = rounded(
                [float(z[column]), float(sign * best[column]), float(share)]
            )
            position, token = activations.positions[place], activations.tokens[place]
            yield Hit(str(sided), z_score, activation, share_of_largest, position, token)
