"""Steering: what the subject predicts and says when a unit is pushed.

1. Run the text as it is and once for each strength: the strength is added to the unit's activation
   (and so a multiple of what it writes to the residual stream), or the activation is set to it, or
   multiplied by it.
2. At the last position compare the next-token distributions: KL(before ‖ after) in nats, and what
   changed most.
3. Go on with the text under each strength, with the same noise in all (`continuation`).

Turner et al., "Activation Addition" (2023), for the addition; a head has no scalar to add to and is
multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ..errors import ArgumentError
from ..subject.address import Unit
from .continuation import MOST_NEW, Edits, Sampling, continue_text, decode_tokens
from .input_texts import TokenizedText, tokenize_texts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import quote_text
from .token_changes import (
    TokenChange,
    format_changes,
    kl_divergence,
    log_probabilities,
    most_changed,
    single_token,
)

if TYPE_CHECKING:
    from ..subject import Intervention, Subject

How = Literal["add", "set", "scale"]
Temperature = Annotated[float, Field(ge=0, le=5, description="0 takes the most likely token")]


@dataclass(frozen=True)
class Steered:
    """What one strength does.

    Attributes:
        kl: of the next-token distribution behind the text, nats; `changed`: the tokens that changed most.
        log_ratios: log p(after) - log p(before) of each token that was named, nats.
        continuation: how the subject goes on; "" when no new tokens were asked for.
    """

    strength: float
    kl: float
    changed: list[TokenChange]
    continuation: str
    log_ratios: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Steering(Result):
    """A text as the subject reads it with a unit pushed.

    Attributes:
        positions: tokens of the text at which it is pushed; the new ones too when `throughout`.
        continuation: how the subject goes on by itself.
        tokens: next tokens that were named.
    """

    unit: str
    text: str
    op: How
    positions: list[int]
    throughout: bool
    continuation: str
    strengths: list[Steered]
    tokens: list[str] = field(default_factory=list)

    def render(self) -> str:
        what = {
            "add": "added to its activation",
            "set": "as its activation",
            "scale": "times what it does",
        }[self.op]
        where = (
            "at every token but the first"
            if self.throughout
            else f"at {len(self.positions)} tokens"
        )
        lines = [f"{self.unit}, {what} {where}; next token behind the text:"]
        lines += [
            f"  {s.strength:+.3g}: KL {s.kl:.2g}: {format_changes(s.changed)}{self._named(s)}"
            for s in self.strengths
        ]
        if self.continuation:
            lines += [f"  as it is |{quote_text(self.continuation)}"]
            lines += [f"  {s.strength:+.3g} |{quote_text(s.continuation)}" for s in self.strengths]
        return "\n".join(lines)

    def _named(self, steered: Steered) -> str:
        named = zip(self.tokens, steered.log_ratios, strict=True)
        told = ", ".join(f'"{quote_text(token)}" {ratio:+.3f}' for token, ratio in named)
        return f"; log-probability of {told}" if told else ""


@instrument("steer", needs=("subject",))
def steer(
    context: InstrumentContext,
    unit: UnitAddress,
    text: Text,
    strengths: Annotated[
        list[float],
        Field(
            min_length=1,
            max_length=8,
            description="in units of its activation; several are compared",
        ),
    ],
    op: How = "add",
    focus: Annotated[
        str | None, Field(description="part of the text to push at; default: all, and new tokens")
    ] = None,
    new_tokens: Annotated[int, Field(ge=0, le=MOST_NEW)] = 12,
    tokens: Annotated[
        list[str] | None,
        Field(max_length=8, description="next tokens whose log-probability is told"),
    ] = None,
    temperature: Temperature = 0,
    seed: int = 0,
    k: Annotated[int, Field(ge=1, le=50)] = 5,
) -> Steering:
    """What the model predicts and writes when a unit is pushed.

    Adds each strength to the activation (or sets it, or multiplies it: scale) and shows the change
    of the next-token distribution, of the log-probability of named tokens, and of the continuation.
    Take strengths from the unit's range on the corpus, on both sides; far beyond it every unit
    breaks the text. Tells what the unit causes, not what makes it fire. Heads: scale only.
    """

    address, subject = Unit.parse(unit), context.require_subject()
    subject.shape.column(address)
    if address.site == "head" and op != "scale":
        raise ArgumentError(
            f"steer: a head has no single activation to {op}; use op scale (0 ablates, 2 doubles)"
        )
    (ready,) = tokenize_texts(subject, [text])
    positions = ready.positions(focus)
    edit = _edits(address, op, strengths, positions, throughout=focus is None)
    named = [single_token(subject, token) for token in tokens or ()]
    done = _steered(
        subject, ready, strengths, edit, Sampling(new_tokens, temperature, seed), k, named
    )
    strings = subject.token_strings()
    return Steering(
        str(address), text, op, positions, focus is None, *done, [strings[i] for i in named]
    )


def _edits(
    unit: Unit, op: How, strengths: Sequence[float], positions: list[int], *, throughout: bool
) -> Edits:
    from ..subject import Intervention

    def edits(length: int) -> list[list[Intervention]]:
        at = tuple(range(positions[0], length)) if throughout else tuple(positions)
        return [[], *([Intervention(unit, op, at, strength)] for strength in strengths)]

    return edits


def _steered(
    subject: Subject,
    text: TokenizedText,
    strengths: Sequence[float],
    edits: Edits,
    how: Sampling,
    k: int,
    named: Sequence[int],
) -> tuple[str, list[Steered]]:
    import torch

    n = 1 + len(strengths)
    rows = torch.tensor([text.ids] * n)
    logits = subject.capture(
        rows, [], interventions=edits(len(text.ids)), logits=True, last_only=True
    ).logits
    assert logits is not None  # asked for
    said = log_probabilities(logits[:, -1])
    kl = rounded(kl_divergence(said[:1], said[1:]).tolist())
    new = continue_text(subject, text.ids, n, edits, how) if how.new_tokens else [[]] * n
    written = [decode_tokens(subject, ids) for ids in new]
    ratios = [rounded([float(after[i] - said[0, i]) for i in named]) for after in said[1:]]
    steered = [
        Steered(
            strength,
            kl[i],
            most_changed(subject, said[0], said[i + 1], k),
            written[i + 1],
            ratios[i],
        )
        for i, strength in enumerate(strengths)
    ]
    return written[0], steered
