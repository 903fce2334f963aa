"""New text through the subject: which units fire on it, and where.

`activations.on_text` reads chosen units at every token. `activations.search` asks the reverse: of
all units, which are furthest above what they usually do? It compares a unit's largest activation on
the text with the unit's mean and standard deviation on explore, on each side. Position 0 is an
attention sink and never counts in a search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ..errors import ArgumentError
from ..subject.address import Site, Unit
from .input_texts import InputText, pad_token_ids, read_units, tokenize_texts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens, quote_text

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ..index import Index


@dataclass(frozen=True)
class TextActivations:
    """Activations on one text.

    Attributes:
        offsets: characters of `text` that each token covers.
        activations: one number for each token, by address as given. Of a side, never negative.
    """

    text: str
    tokens: list[str]
    offsets: list[tuple[int, int]]
    activations: dict[str, list[float]]


@dataclass(frozen=True)
class OnText(Result):
    """Activations of some units on some texts."""

    units: list[str]
    texts: list[TextActivations]

    def render(self) -> str:
        return "\n".join(line for unit in self.units for line in self._render(unit))

    def _render(self, unit: str) -> Iterator[str]:
        """A line for each text with its active tokens, both signs, all texts on one scale."""
        counted = [value for text in self.texts for value in _counted(text.activations[unit])]
        strongest = max(map(abs, counted))
        extremes = f"max {max(counted):.3g}, min {min(counted):.3g}"
        yield f"{unit}: {extremes} on these texts (first tokens left out)"
        for number, text in enumerate(self.texts):
            values = _counted(text.activations[unit])
            padding = [0.0] * (len(text.tokens) - len(values))
            marked = mark_active_tokens(text.tokens, padding + values, strongest)
            yield f"  {number}: {max(values):+.3g} {min(values):+.3g} | {marked}"


def _counted(values: list[float]) -> list[float]:
    """Without the first token."""
    return values[1:]


@instrument("activations.on_text", needs=("subject",))
def on_text(
    context: InstrumentContext,
    texts: Annotated[list[Text], Field(min_length=1, max_length=256)],
    units: Annotated[list[UnitAddress], Field(min_length=1, max_length=64)],
) -> OnText:
    """Measure how strongly units fire at each token of texts that you write.

    Write minimal pairs: a text that should make the unit fire, and one that differs in the one thing
    that you think matters. An address with a side (mlp.12.803-) gives that side's strength,
    one without gives the signed activation. The first token of a text is an attention sink: put
    something before what you test.
    """

    addresses = [Unit.parse(unit) for unit in units]
    subject = context.require_subject()
    names = [str(address) for address in addresses]
    tokenized = tokenize_texts(subject, texts)
    activations = [
        TextActivations(
            text.text,
            text.tokens,
            text.offsets,
            dict(zip(names, map(rounded, signals), strict=True)),
        )
        for text, signals in zip(tokenized, read_units(subject, tokenized, addresses), strict=True)
    ]
    return OnText(names, activations)


@dataclass(frozen=True)
class Hit:
    """A unit that fires on a text more than it usually does.

    Attributes:
        unit: address with the side that fires.
        z: standard deviations above (for the side -: below) the unit's mean on explore.
        share_of_largest: of that side's largest activation on explore; more than 1 is more than was
            ever seen there.
    """

    unit: str
    z: float
    activation: float
    share_of_largest: float
    position: int
    token: str


@dataclass(frozen=True)
class Search(Result):
    """Units that stand out on a text, the most unusual first."""

    text: str
    tokens: list[str]
    n_units: int
    hits: list[Hit]

    def render(self) -> str:
        head = f"of {self.n_units:,} units, those furthest above what they usually do:"
        lines = (
            f'  {hit.unit}: {hit.activation:+.3g} on "{quote_text(hit.token)}" '
            f"(token {hit.position}), {hit.z:.1f} standard deviations, "
            f"{hit.share_of_largest:.0%} of its largest"
            for hit in self.hits
        )
        return "\n".join([head, *lines])


@instrument("activations.search", needs=("subject", "index"))
def search(
    context: InstrumentContext,
    text: Text,
    k: Annotated[int, Field(ge=1, le=200)] = 10,
    sites: Annotated[list[Literal["mlp", "head", "resid"]], Field(min_length=1)] = ["mlp"],  # noqa: B006  never changed
    layers: Annotated[list[int] | None, Field(description="default: all of the index")] = None,
) -> Search:
    """Rank all units by how much they stand out on a text that you write.

    Ranks both sides of every unit by how many standard deviations its strongest token lies from its
    mean on explore.
    """
    subject, index = context.require_subject(), context.require_index()
    chosen = [
        site
        for site in index.sites
        if site.kind in sites and (layers is None or site.layer in layers)
    ]
    if not chosen:
        has = ", ".join(sorted({f"{site.kind}.{site.layer}" for site in index.sites}))
        raise ArgumentError(
            f"no site of kind {sites} and layer {layers} is in the index, which has {has}"
        )
    (tokenized,) = tokenize_texts(subject, [text])
    captured = subject.capture(pad_token_ids([tokenized]), chosen).activations
    hits = [
        hit
        for site in chosen
        for hit in _hits(site, captured[site][0].float().cpu().numpy(), index, tokenized, k)
    ]
    n_units = sum(index.shape.count(site) for site in chosen)
    return Search(text, tokenized.tokens, n_units, sorted(hits, key=lambda hit: -hit.z)[:k])


def _hits(
    site: Site, values: Float[np.ndarray, "seq unit"], index: Index, text: InputText, k: int
) -> Iterator[Hit]:
    """The k units of a site that stand out most on each side; a head's norm has one side."""
    import numpy as np

    usual = index.site_statistics(site)
    spread = np.where(usual.std > 0, usual.std, np.inf)
    for sign in (1,) if site.kind == "head" else (1, -1):
        signed = sign * values[list(text.scored)]
        best = signed.max(axis=0)
        z = np.where(best > 0, (best - sign * usual.mean) / spread, -np.inf)
        largest = usual.max if sign > 0 else -usual.min
        for column in np.argsort(-z, kind="stable")[:k].tolist():
            if not np.isfinite(z[column]) or z[column] <= 0:
                break
            unit = index.shape.unit(site, column)
            sided = unit if site.kind == "head" else replace(unit, side="+" if sign > 0 else "-")
            position = text.scored[int(signed[:, column].argmax())]
            # The unit may never have fired on this side of explore: no division by 0.
            share = best[column] / max(largest[column], best[column] * 1e-6)
            z_score, activation, share_of_largest = rounded(
                [float(z[column]), float(sign * best[column]), float(share)]
            )
            token = text.tokens[position]
            yield Hit(str(sided), z_score, activation, share_of_largest, position, token)
