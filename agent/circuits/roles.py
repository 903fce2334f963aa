"""Components, and the roles that an explainer gives them: words, and testable predictions.

An explainer sees what was observed on discovery prompts and answers with roles. It is told neither
the subject nor where in it a component is. Every role comes with numbers that held-out prompts must
keep, or the role is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Protocol

from ...evals.statistics.faithfulness import PromptInterval
from ...tools.errors import HubelError

WRITES = 0.04
"""A component writes the answer if it adds at least this share of the logit difference by itself."""


@dataclass(frozen=True)
class Component:
    """What is known of one head or MLP, without its address.

    Attributes:
        name: "C3", the third strongest.
        quantities: means over prompts. `effect`: of patching it with the corrupted run on the logit difference;
            `direct`: what it adds to the logit difference by itself; `queries`: the part of
            `effect` that goes through the queries of heads that write the answer (0 where it comes
            after them); for heads also `copies` and the attention "END>IO", `previous` ...
        depth: 0 is the first layer, 1 the last.
        writes: tokens that it raises most at the last position.
    """

    name: str
    kind: Literal["head", "mlp"]
    depth: float
    quantities: Mapping[str, PromptInterval]
    writes: tuple[str, ...] = ()


class RoleExample(NamedTuple):
    """A pair of prompts as text; several answers or foils are joined by "or"."""

    clean: str
    twin: str
    answer: str
    foil: str


@dataclass(frozen=True)
class RoleEvidence:
    """All that an explainer sees, from discovery prompts alone.

    Attributes:
        task: what the subject has to do, in words.
        metric: the logit difference of the clean prompts.
    """

    task: str
    metric: float
    components: Sequence[Component]
    examples: Sequence[RoleExample] = ()


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
        predictions = tuple(Prediction(**row) for row in data["predictions"])
        return cls(data["component"], data["role"], data["description"], predictions)


class NoRoles(HubelError):
    """The explainer named no role that can be tested, in all its tries."""


class RoleFinder(Protocol):
    """An explainer that names roles."""

    def __call__(self, evidence: RoleEvidence) -> list[Role]:
        """At most one role per component; raises NoRoles if no answer can be used."""
        ...


Outcome = Literal["for", "against", "void"]


def adjudicate(prediction: Prediction, observed: float | None) -> Outcome:
    """Compare a prediction with the held-out value; void if the quantity could not be measured."""
    if observed is None:
        return "void"
    below = prediction.low is not None and observed < prediction.low
    above = prediction.high is not None and observed > prediction.high
    return "against" if below or above else "for"
