"""What an intervention does to the next token: the KL divergence, and the tokens that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from .registry import rounded
from .rendering import quote_text

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..subject import Subject


@dataclass(frozen=True)
class TokenChange:
    """A next token whose probability an intervention changed."""

    token: str
    before: float
    after: float


def log_probabilities(logits: Float[Tensor, "*rows vocab"]) -> Float[Tensor, "*rows vocab"]:
    """Log softmax in float64 on the CPU: a KL of 1e-6 is a difference of numbers of size one."""
    return logits.cpu().double().log_softmax(-1)


def kl_divergence(
    before: Float[Tensor, "*rows vocab"], after: Float[Tensor, "*rows vocab"]
) -> Float[Tensor, "*rows"]:
    """KL(before ‖ after) of log-probabilities, nats."""
    return (before.exp() * (before - after)).sum(-1).clamp(min=0)  # below 0 only by rounding


def most_changed(
    subject: Subject, before: Float[Tensor, " vocab"], after: Float[Tensor, " vocab"], k: int
) -> list[TokenChange]:
    """The k tokens whose probability changed most."""
    p, q = before.exp(), after.exp()
    strings = subject.token_strings()
    most = (p - q).abs().argsort(descending=True, stable=True)[:k].tolist()
    return [TokenChange(strings[i], *rounded([float(p[i]), float(q[i])])) for i in most]


def format_changes(changes: Sequence[TokenChange]) -> str:
    """``" Monday" 0.010→0.200, " Friday" 0.020→0.110``."""
    return ", ".join(f'"{quote_text(c.token)}" {c.before:.3f}→{c.after:.3f}' for c in changes)


def single_token(subject: Subject, text: str) -> int:
    """The id of a text that is one token, as written or after a space.

    Raises:
        ArgumentError: it is several tokens; the message lists the pieces.
    """
    for spelling in (text, f" {text.strip()}"):
        ids = subject.tokenize(spelling).ids
        if len(ids) == 1:
            return ids[0]
    pieces = [subject.token_strings()[i] for i in subject.tokenize(text).ids]
    raise ArgumentError(
        f"{text!r} is {len(pieces)} tokens here ({pieces}); give one token, such as its first piece"
    )
