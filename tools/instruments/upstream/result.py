"""What `upstream` reports, and its text for an explainer."""

from __future__ import annotations

from dataclasses import dataclass

from ..registry import Result
from ..rendering import quote_text


@dataclass(frozen=True)
class Contribution:
    """What one part adds.

    Attributes:
        part: "embedding", "biases", or the address of a head, an MLP (mlp.3) or a neuron
            (mlp.3.77).
        gate: share of the pre-activation that goes through the nonlinearity; None for a named
            direction.
        up: share of the up branch of a gated MLP, or of a direction's projection; None where there
            is neither.
        effect: on the activation, to first order.
        sources: for a head, the tokens that its effect comes from, with the effect of each.
    """

    part: str
    gate: float | None
    up: float | None
    effect: float
    sources: list[tuple[str, float]]


@dataclass(frozen=True)
class Upstream(Result):
    """What a unit's activation at a token is made of.

    Attributes:
        gate, up: the pre-activations that the shares of all parts add up to.
        parts: embedding, heads and MLPs with the largest effects.
        rest: the sum of all parts that are not listed.
        neurons: the single neurons with the largest effects; each is also in its MLP's part.
    """

    unit: str
    text: str
    position: int
    token: str
    activation: float
    gate: float | None
    up: float | None
    parts: list[Contribution]
    rest: Contribution
    neurons: list[Contribution]

    def render(self) -> str:
        head = f'{self.unit} is {self.activation:+.3g} at "{quote_text(self.token)}"'
        branches = _branches(self.gate, self.up)
        lines = [
            f"{head} ({branches}); effect of each part on it (first order), "
            "and its exact share of the sum:",
            *map(_line, [*self.parts, self.rest]),
        ]
        if self.neurons:
            lines += ["single neurons among these:", *map(_line, self.neurons)]
        return "\n".join(lines)


def _line(contribution: Contribution) -> str:
    branches = _branches(contribution.gate, contribution.up)
    line = f"  {contribution.effect:+.3g} {contribution.part} ({branches})"
    sources = ", ".join(
        f'"{quote_text(token)}" {effect:+.3g}' for token, effect in contribution.sources
    )
    return f"{line} from {sources}" if sources else line


def _branches(gate: float | None, up: float | None) -> str:
    named = (("gate", gate), ("up", up))
    return ", ".join(f"{name} {value:+.3g}" for name, value in named if value is not None)
