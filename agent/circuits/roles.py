"""Components, and the roles that an explainer gives them: words, and predictions that new prompts
can refute.

An explainer sees what was observed on discovery prompts and answers with roles. It is told neither
the subject nor where in it a component is; every role goes with numbers that held-out prompts must
keep, or the role is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from ...tools.errors import HubelError

Kind = Literal["head", "mlp"]

WRITES = 0.04
"""Share of the logit difference from which what a component adds by itself counts as writing the answer."""


@dataclass(frozen=True)
class Seen:
    """A quantity on discovery prompts: mean, and its 95 % interval over prompts."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Component:
    """What is known of one head or MLP, without its address.

    Attributes:
        name: "C3", the third strongest.
        quantities: `effect` of patching it with the corrupted run on the logit difference; `direct`, what it adds to
            the logit difference by itself; `queries`, the part of `effect` that goes through the
            queries of heads that write the answer (0 where it comes after them); of heads `copies`
            and the attention "END>IO", `previous` ...
        depth: 0 is the first layer, 1 the last.
        writes: tokens that it raises most at the last position.
    """

    name: str
    kind: Kind
    depth: float
    quantities: Mapping[str, Seen]
    writes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoleEvidence:
    """All that whoever names roles is shown, of discovery prompts alone.

    Attributes:
        task: what the subject has to do, in words.
        metric: the logit difference of the clean prompts.
        examples: a few pairs as text: clean prompt, twin, answer, foil.
    """

    task: str
    metric: float
    components: Sequence[Component]
    examples: Sequence[tuple[str, str, str, str]] = ()


@dataclass(frozen=True)
class Prediction:
    """low <= the quantity's mean over held-out prompts <= high; None leaves a side open."""

    quantity: str
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True)
class Role:
    """What an explainer says of a component; components of the same `role` are said to be interchangeable."""

    component: str
    role: str
    description: str
    predictions: tuple[Prediction, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as it is journaled."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Role:
        """The inverse of `to_json`."""
        predictions = tuple(Prediction(**each) for each in data["predictions"])
        return cls(data["component"], data["role"], data["description"], predictions)


class NoRoles(HubelError):
    """Whoever was asked for roles named none that can be tested, however often it was asked."""


class RoleFinder(Protocol):
    """A mind that names roles."""

    def __call__(self, evidence: RoleEvidence) -> list[Role]:
        """One role for each component that it has something to say about.

        Raises:
            NoRoles: nothing could be made of what it says.
        """
        ...


Outcome = Literal["for", "against", "void"]


def adjudicate(prediction: Prediction, observed: float | None) -> Outcome:
    """Arithmetic, never an opinion; void when the quantity could not be read."""
    if observed is None:
        return "void"
    below = prediction.low is not None and observed < prediction.low
    above = prediction.high is not None and observed > prediction.high
    return "against" if below or above else "for"
