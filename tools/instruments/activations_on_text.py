"""Chosen units at every token of new text. `activations.search` asks the reverse: which units fire?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ..subject.address import Unit
from ..subject.input_texts import read_units, tokenize_texts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens


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
