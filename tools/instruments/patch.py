"""Interchange: a unit's activations from one text put into another.

1. Align the two texts by their tokens (`alignment`), so that each position of the base has its
   position of the source.
2. Run the base with the units' values replaced by those that they have at the aligned positions of
   the source.
3. Compare the next-token distribution behind the base with and without: KL in nats, the tokens that
   changed most, and, for a named pair of tokens, the logit difference with the share of the way to
   the source's that was gone.

Vig et al. (2020); Geiger et al., "Causal Abstractions" (2021); Meng et al. (2022) on what it can
and cannot say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..errors import ArgumentError
from ..subject.address import Unit
from .input_texts import TokenizedText, tokenize_texts
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

    from ..subject import Intervention, Subject


@dataclass(frozen=True)
class LogitDifference:
    """Logit of the first token less that of the second, behind each text.

    Attributes:
        recovered: (patched - base) / (source - base); None when base and source agree.
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
        positions: tokens of the base that were given the source's values.
        kl: KL(as it is ‖ patched) of the next-token distribution behind the base, nats.
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
        if found := self.logit_difference:
            share = "" if found.recovered is None else f", {found.recovered:.1%} of the way"
            one, two = map(quote_text, found.tokens)
            lines.append(
                f'logit of "{one}" less "{two}": base {found.base:+.3f}, source {found.source:+.3f}, '
                f"patched {found.patched:+.3f}{share}"
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
    """What changes behind a base text when units take their values on a source text.

    Texts are aligned by their tokens; give two that differ in one thing. With `tokens` (say "
    Paris" and " Rome") it tells how far the units alone move the logit difference from the base's
    to the source's. Several units together are patched at once.
    """

    subject, addresses = context.require_subject(), [Unit.parse(unit) for unit in units]
    one, two = tokenize_texts(subject, [base, source])
    partner = dict(aligned_positions(one.ids, two.ids))
    at = [i for i in one.positions(focus) if partner.get(i)]
    if not at:
        raise ArgumentError(
            "patch: no token of the base (or of its focus) has a partner in the source; align them"
        )
    asked = (single_token(subject, tokens[0]), single_token(subject, tokens[1])) if tokens else None
    edits = _edits(addresses, two, at, [partner[i] for i in at])
    plain, patched, there = _behind(subject, one, two, edits)
    before, after = log_probabilities(plain), log_probabilities(patched)
    (kl,) = rounded([float(kl_divergence(before, after))])
    difference = _difference(subject, asked, plain, there, patched) if asked else None
    changed = most_changed(subject, before, after, k)
    return Patching([str(unit) for unit in addresses], base, source, at, kl, changed, difference)


def _edits(
    units: list[Unit], source: TokenizedText, at: list[int], partners: list[int]
) -> list[Intervention]:
    from ..subject import Intervention

    return [
        Intervention(
            unit, "patch", tuple(at), source=tuple(source.ids), source_positions=tuple(partners)
        )
        for unit in units
    ]


def _behind(
    subject: Subject, base: TokenizedText, source: TokenizedText, edits: list[Intervention]
) -> tuple[Float[Tensor, " vocab"], Float[Tensor, " vocab"], Float[Tensor, " vocab"]]:
    """Logits behind the base, the patched base, and the source."""
    import torch

    rows = torch.tensor([base.ids] * 2)
    both = subject.capture(rows, [], interventions=[[], edits], logits=True, last_only=True).logits
    alone = subject.capture(torch.tensor([source.ids]), [], logits=True, last_only=True).logits
    assert both is not None
    assert alone is not None  # both asked for
    return both[0, -1], both[1, -1], alone[0, -1]


def _difference(
    subject: Subject, pair: tuple[int, int], base: Tensor, source: Tensor, patched: Tensor
) -> LogitDifference:
    of_base, of_source, of_patched = rounded(
        float(x[pair[0]] - x[pair[1]]) for x in (base, source, patched)
    )
    whole = of_source - of_base
    recovered = rounded([(of_patched - of_base) / whole])[0] if abs(whole) > 1e-6 else None
    strings = subject.token_strings()
    return LogitDifference(
        (strings[pair[0]], strings[pair[1]]), of_base, of_source, of_patched, recovered
    )
