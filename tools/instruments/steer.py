"""Steering: what the subject predicts and says when a unit is pushed.

1. Run the text as it is and once for each strength: the strength is added to the unit's activation
   (which adds a multiple of what it writes to the residual stream), or the activation is set to it,
   or multiplied by it.
2. At the last position compare the next-token distributions: KL(before ‖ after) in nats, and the
   tokens that changed most.
3. Continue the text under each strength, with the same noise in all (`continuation`).

Turner et al., "Activation Addition" (2023), for the addition. A head has no scalar to add to, so it
is multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from ..errors import ArgumentError
from ..subject.address import Unit
from ..subject.input_texts import tokenize_texts
from .continuation import (
    MAX_NEW_TOKENS,
    RowInterventions,
    Sampling,
    continue_text,
    decode_tokens,
    next_token_logits,
)
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

SteeringOp = Literal["add", "set", "scale"]
Temperature = Annotated[float, Field(ge=0, le=5, description="0 takes the most likely token")]


@dataclass(frozen=True)
class Steered:
    """What one strength does.

    Attributes:
        kl: of the next-token distribution after the text, nats.
        changed: the tokens that changed most.
        continuation: the subject's continuation; "" if no new tokens were requested.
        log_ratios: log p(after) - log p(before) of each named token, nats.
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
        positions: tokens of the text at which the unit is pushed.
        throughout: whether it is pushed at the new tokens too.
        continuation: the subject's continuation without steering.
        tokens: the named next tokens.
    """

    unit: str
    text: str
    op: SteeringOp
    positions: list[int]
    throughout: bool
    continuation: str
    strengths: list[Steered]
    tokens: list[str] = field(default_factory=list)

    def render(self) -> str:
        action = {
            "add": "added to its activation",
            "set": "as its activation",
            "scale": "times what it does",
        }[self.op]
        n = len(self.positions)
        where = "at every token but the first" if self.throughout else f"at {n} tokens"
        lines = [f"{self.unit}, {action} {where}; next token after the text:"]
        for steered in self.strengths:
            effect = f"KL {steered.kl:.2g}: {format_changes(steered.changed)}"
            if self.tokens:
                ratios = zip(self.tokens, steered.log_ratios, strict=True)
                named = ", ".join(f'"{quote_text(token)}" {ratio:+.3f}' for token, ratio in ratios)
                effect += f"; log-probability of {named}"
            lines.append(f"  {steered.strength:+.3g}: {effect}")
        if self.continuation:
            lines.append(f"  as it is |{quote_text(self.continuation)}")
            lines += [f"  {s.strength:+.3g} |{quote_text(s.continuation)}" for s in self.strengths]
        return "\n".join(lines)


Strengths = Annotated[
    list[float],
    Field(
        min_length=1, max_length=8, description="in units of its activation; several are compared"
    ),
]


@instrument("steer", needs=("subject",))
def steer(
    context: InstrumentContext,
    unit: UnitAddress,
    text: Text,
    strengths: Strengths,
    op: SteeringOp = "add",
    focus: Annotated[
        str | None, Field(description="part of the text to push at; default: all, and new tokens")
    ] = None,
    new_tokens: Annotated[int, Field(ge=0, le=MAX_NEW_TOKENS)] = 12,
    tokens: Annotated[
        list[str] | None,
        Field(max_length=8, description="next tokens whose log-probability is told"),
    ] = None,
    temperature: Temperature = 0,
    seed: int = 0,
    k: Annotated[int, Field(ge=1, le=50)] = 5,
) -> Steering:
    """Show what the model predicts and writes when a unit is pushed.

    Adds each strength to the activation (or sets it, or multiplies it: scale; a named direction has
    length 1, so that a strength is a distance in the stream) and shows the change
    of the next-token distribution, of the log-probability of named tokens, and of the continuation.
    Take strengths from the unit's range on the corpus, on both sides; far beyond it every unit
    breaks the text. Tells what the unit causes, not what makes it fire. Heads: scale only.
    """
    import torch

    address, subject = Unit.parse(unit), context.require_subject()
    subject.shape.column(address)
    if address.site == "head" and op != "scale":
        raise ArgumentError(
            f"steer: a head has no single activation to {op}; use op scale (0 ablates, 2 doubles)"
        )
    (tokenized,) = tokenize_texts(subject, [text])
    positions = tokenized.positions(focus)
    named = [single_token(subject, token) for token in tokens or ()]
    interventions = _interventions(address, op, strengths, positions, throughout=focus is None)
    n = len(tokenized.ids)
    rows = torch.tensor([tokenized.ids] * (1 + len(strengths)))
    before, *after = log_probabilities(next_token_logits(subject, rows, interventions(n)))
    kl = rounded(kl_divergence(before[None], torch.stack(after)).tolist())
    sampling = Sampling(new_tokens, temperature, seed)
    new = continue_text(subject, tokenized.ids, len(rows), interventions, sampling)
    continuation, *continuations = [decode_tokens(subject, ids) for ids in new]
    steered = [
        Steered(
            strength,
            kl[i],
            most_changed(subject, before, after[i], k),
            continuations[i],
            rounded([float(after[i][token] - before[token]) for token in named]),
        )
        for i, strength in enumerate(strengths)
    ]
    names = [subject.token_strings()[token] for token in named]
    return Steering(str(address), text, op, positions, focus is None, continuation, steered, names)


def _interventions(
    unit: Unit, op: SteeringOp, strengths: list[float], positions: list[int], *, throughout: bool
) -> RowInterventions:
    """The first row is left as it is; each further row is steered by one strength."""
    from ..subject import Intervention

    def interventions(length: int) -> list[list[Intervention]]:
        at = tuple(range(positions[0], length) if throughout else positions)
        return [[], *([Intervention(unit, op, at, strength)] for strength in strengths)]

    return interventions
