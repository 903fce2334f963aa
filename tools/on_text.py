"""New text through the subject: which units fire on it, and where.

`activations.on_text` reads chosen units at every token. `activations.search` turns the question round: of all units,
which are furthest above what they usually do? It compares a unit's largest activation on the text with the unit's mean
and standard deviation on explore, on each side. Position 0 is an attention sink and never counts in a search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from .instruments import Bench, Result, Text, UnitAddress, instrument, rounded
from .rendering import marked
from .texts import Tokenised, batches, padded, tokenised

if TYPE_CHECKING:
    from .subject import Subject, Unit


@dataclass(frozen=True)
class TextActivations:
    """Activations on one text.

    Attributes:
        offsets: characters of `text` that each token covers.
        activations: by address as asked for; one number a token. Of a side, never negative.
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
        """Each text with its active tokens, both signs, on one scale a unit."""
        counted = [value for text in self.texts for value in _counted(text.activations[unit])]
        strongest = max(map(abs, counted))
        yield f"{unit}: max {max(counted):.3g}, min {min(counted):.3g} on these texts (first tokens left out)"
        for number, text in enumerate(self.texts):
            values = text.activations[unit]
            shown = marked(
                text.tokens, [0.0 if len(values) > 1 and not i else abs(v) for i, v in enumerate(values)], strongest
            )
            yield f"  {number}: {max(_counted(values)):+.3g} {min(_counted(values)):+.3g} | {shown}"


def _counted(values: list[float]) -> list[float]:
    return values[1:] if len(values) > 1 else values


@instrument("activations.on_text", needs=("subject",))
def on_text(
    bench: Bench,
    texts: Annotated[list[Text], Field(min_length=1, max_length=256)],
    units: Annotated[list[UnitAddress], Field(min_length=1, max_length=64)],
) -> OnText:
    """How strongly units fire at each token of texts that you write.

    Write minimal pairs: a text that should make the unit fire beside one that differs in the one thing that you think
    matters. An address with a side (mlp.12.803-) gives that side's strength, one without gives the signed activation.
    The first token of a text is an attention sink: put something before what you test.
    """
    from .subject import Unit

    addresses = [Unit.parse(unit) for unit in units]
    subject = bench.the_subject()
    ready = tokenised(subject, texts)
    values = _activations(subject, ready, addresses)
    found = [TextActivations(text.text, text.tokens, text.offsets, values[n]) for n, text in enumerate(ready)]
    return OnText([str(address) for address in addresses], found)


def _activations(subject: Subject, texts: list[Tokenised], units: list[Unit]) -> dict[int, dict[str, list[float]]]:
    """Text number to address to one number a token."""
    found: dict[int, dict[str, list[float]]] = {}
    for batch in batches(texts):
        rows = [texts[number] for number in batch]
        raw = subject.unit_activations(padded(rows), [unit.unsided for unit in units]).float().cpu().numpy()
        for row, number in enumerate(batch):
            length = len(texts[number].ids)
            found[number] = {str(u): rounded(u.signal(raw[i, row, :length])) for i, u in enumerate(units)}
    return found
