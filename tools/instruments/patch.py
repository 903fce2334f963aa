"""Interchange: a unit's activations from one text put into another.

1. Align the two texts by their tokens (`text_alignment`), so that positions of the base have
   positions of the source.
2. Run the base with the units' values replaced by those at the aligned positions of the source.
3. Compare the next-token distributions after the base with and without: KL in nats, the tokens that
   changed most, and, for a named pair of tokens, the logit difference with the share of the way to
   the source's that the patch covers.

Vig et al. (2020); Geiger et al., "Causal Abstractions" (2021); Meng et al. (2022) on what patching
can and cannot show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..errors import ArgumentError
from ..subject.address import Unit
from ..subject.input_texts import tokenize_texts
from .continuation import next_token_logits
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import quote_text
from .text_alignment import aligned_positions
from .token_changes import (
    TokenChange,
    format_changes,
    kl_divergence,
    log_probabilities,
    most_changed,
    single_token,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..subject import Subject


@dataclass(frozen=True)
class LogitDifference:
    """Logit of the first token less that of the second, after each text.

    Attributes:
        recovered: (patched - base) / (source - base); None if base and source agree.
    """

    tokens: tuple[str, str]
    base: float
    source: float
    patched: float
    recovered: float | None


@dataclass(frozen=True)
class Patching(Result):
    """What units' values from a source text do in a base text.

    Attributes:
        positions: tokens of the base that got the source's values.
        kl: KL(as it is ‖ patched) of the next-token distribution after the base, nats.
    """

    units: list[str]
    base: str
    source: str
    positions: list[int]
    kl: float
    changed: list[TokenChange]
    logit_difference: LogitDifference | None

    def render(self) -> str:
        head = f"{', '.join(self.units)} of the source at {len(self.positions)} tokens of the base"
        lines = [f"{head}: KL {self.kl:.2g}: {format_changes(self.changed)}"]
        if difference := self.logit_difference:
            recovered = difference.recovered
            share = "" if recovered is None else f", {recovered:.1%} of the way"
            token, rival = map(quote_text, difference.tokens)
            lines.append(
                f'logit of "{token}" less "{rival}": base {difference.base:+.3f}, '
                f"source {difference.source:+.3f}, patched {difference.patched:+.3f}{share}"
            )
        return "\n".join(lines)


@instrument("patch", needs=("subject",))
def patch(
    context: InstrumentContext,
    units: Annotated[list[UnitAddress], Field(min_length=1, max_length=64)],
    base: Text,
    source: Text,
    focus: Annotated[
        str | None, Field(description="part of the base to patch; default: all but the first")
    ] = None,
    tokens: Annotated[
        list[str] | None,
        Field(min_length=2, max_length=2, description="two next tokens, for a logit difference"),
    ] = None,
    k: Annotated[int, Field(ge=1, le=50)] = 5,
) -> Patching:
    """Show what changes after a base text when units take their values on a source text.

    Texts are aligned by their tokens; give two that differ in one thing. With `tokens` (say "
    Paris" and " Rome") it tells how far the units alone move the logit difference from the base's
    to the source's. Several units are patched at once.
    """

    import torch

    from ..subject import Intervention

    subject, addresses = context.require_subject(), [Unit.parse(unit) for unit in units]
    base_text, source_text = tokenize_texts(subject, [base, source])
    partner = dict(aligned_positions(base_text.ids, source_text.ids))
    positions = [i for i in base_text.positions(focus) if partner.get(i)]
    if not positions:
        raise ArgumentError(
            "patch: no token of the base (or of its focus) has a partner in the source; align them"
        )
    pair = (single_token(subject, tokens[0]), single_token(subject, tokens[1])) if tokens else None
    edits = [
        Intervention(
            address,
            "patch",
            tuple(positions),
            source=tuple(source_text.ids),
            source_positions=tuple(partner[i] for i in positions),
        )
        for address in addresses
    ]
    rows = torch.tensor([base_text.ids] * 2)
    base_logits, patched_logits = next_token_logits(subject, rows, [[], edits])
    (source_logits,) = next_token_logits(subject, torch.tensor([source_text.ids]))
    before, after = log_probabilities(base_logits), log_probabilities(patched_logits)
    difference = None
    if pair:
        difference = _logit_difference(subject, pair, base_logits, source_logits, patched_logits)
    return Patching(
        [str(address) for address in addresses],
        base,
        source,
        positions,
        rounded([float(kl_divergence(before, after))])[0],
        most_changed(subject, before, after, k),
        difference,
    )


def _logit_difference(
    subject: Subject,
    pair: tuple[int, int],
    base: Float[Tensor, " vocab"],
    source: Float[Tensor, " vocab"],
    patched: Float[Tensor, " vocab"],
) -> LogitDifference:
    at_base, at_source, at_patched = rounded(
        float(logits[pair[0]] - logits[pair[1]]) for logits in (base, source, patched)
    )
    way = at_source - at_base
    recovered = rounded([(at_patched - at_base) / way])[0] if abs(way) > 1e-6 else None
    strings = subject.token_strings()
    names = (strings[pair[0]], strings[pair[1]])
    return LogitDifference(names, at_base, at_source, at_patched, recovered)
