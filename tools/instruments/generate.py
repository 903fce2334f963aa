"""The subject's own continuation of a text, with units' activations on every token of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ..subject.address import Unit
from .continuation import MOST_NEW, Sampling, continue_text, decode_tokens
from .input_texts import tokenize_texts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens
from .steer import Temperature


@dataclass(frozen=True)
class Generated(Result):
    """A text and how the subject goes on.

    Attributes:
        tokens: of the text and of the continuation, which begins at token `n_given`.
        activations: by address as asked for; one number a token. The last token has been read as well.
    """

    text: str
    continuation: str
    n_given: int
    tokens: list[str]
    activations: dict[str, list[float]]

    def render(self) -> str:
        return "\n".join(self._line(unit, values) for unit, values in self.activations.items())

    def _line(self, unit: str, values: list[float]) -> str:
        signal = [0.0, *map(abs, values[1:])]
        given = mark_active_tokens(self.tokens[: self.n_given], signal[: self.n_given], max(signal))
        new = mark_active_tokens(self.tokens[self.n_given :], signal[self.n_given :], max(signal))
        counted = values[1:] or values
        return f"{unit}: max {max(counted):+.3g}, min {min(counted):+.3g} | {given} ▸ {new}"


@instrument("generate", needs=("subject",))
def generate(
    context: InstrumentContext,
    text: Text,
    units: Annotated[list[UnitAddress], Field(min_length=1, max_length=16)],
    new_tokens: Annotated[int, Field(ge=1, le=MOST_NEW)] = 24,
    temperature: Temperature = 0,
    seed: int = 0,
) -> Generated:
    """How the model goes on with a text, and what units do on what it writes.

    Shows units on text of the model's own, where they are part of choosing the next token. The
    continuation stands behind ▸. With a temperature it is sampled, the same for the same seed.
    """
    import torch

    subject, addresses = context.require_subject(), [Unit.parse(unit) for unit in units]
    for address in addresses:
        subject.shape.column(address)
    (ready,) = tokenize_texts(subject, [text])
    (new,) = continue_text(
        subject, ready.ids, 1, lambda _length: [[]], Sampling(new_tokens, temperature, seed)
    )
    raw = (
        subject.unit_activations(torch.tensor([ready.ids + new]), [a.unsided for a in addresses])
        .float()
        .cpu()
    )
    read = {str(a): rounded(a.signal(raw[i, 0].numpy())) for i, a in enumerate(addresses)}
    strings = subject.token_strings()
    tokens = [*ready.tokens, *(strings[i] for i in new)]
    return Generated(text, decode_tokens(subject, new), len(ready.ids), tokens, read)
