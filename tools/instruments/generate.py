"""The subject's continuation of a text, with units' activations at every token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ..subject.address import Unit
from ..subject.input_texts import InputText, read_units, tokenize_texts
from .continuation import MAX_NEW_TOKENS, Sampling, continue_text, decode_tokens
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens
from .steer import Temperature


@dataclass(frozen=True)
class Generated(Result):
    """A text and the subject's continuation.

    Attributes:
        tokens: of the text and of the continuation, which begins at token `n_given`.
        activations: one number for each token, also the last, by address as given.
    """

    text: str
    continuation: str
    n_given: int
    tokens: list[str]
    activations: dict[str, list[float]]

    def render(self) -> str:
        return "\n".join(self._line(unit, values) for unit, values in self.activations.items())

    def _line(self, unit: str, values: list[float]) -> str:
        strengths = [0.0, *map(abs, values[1:])]
        prompt, continuation = (
            mark_active_tokens(self.tokens[part], strengths[part], max(strengths))
            for part in (slice(self.n_given), slice(self.n_given, None))
        )
        counted = values[1:]  # a new token at least
        return (
            f"{unit}: max {max(counted):+.3g}, min {min(counted):+.3g} | {prompt} ▸ {continuation}"
        )


@instrument("generate", needs=("subject",))
def generate(
    context: InstrumentContext,
    text: Text,
    units: Annotated[list[UnitAddress], Field(min_length=1, max_length=16)],
    new_tokens: Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS)] = 24,
    temperature: Temperature = 0,
    seed: int = 0,
) -> Generated:
    """Continue a text with the model, and show what units do on what it writes.

    Shows units on the model's own text, where they take part in choosing the next token. The
    continuation comes after ▸. With a temperature it is sampled, the same for the same seed.
    """
    subject, addresses = context.require_subject(), [Unit.parse(unit) for unit in units]
    for address in addresses:
        subject.shape.column(address)
    (prompt,) = tokenize_texts(subject, [text], at_least=1)
    sampling = Sampling(new_tokens, temperature, seed)
    (new,) = continue_text(subject, prompt.ids, 1, lambda _length: [[]], sampling)
    (signals,) = read_units(subject, [InputText.of_ids([*prompt.ids, *new])], addresses)
    activations = {str(a): rounded(s) for a, s in zip(addresses, signals, strict=True)}
    strings = subject.token_strings()
    tokens = [*prompt.tokens, *(strings[i] for i in new)]
    return Generated(text, decode_tokens(subject, new), len(prompt.ids), tokens, activations)
