"""What an explainer is shown and what it may answer: the words of an investigation, as data.

A case goes in, a move comes out. Everything here is JSON, so that it can be journaled, replayed and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from ..tools.dissection import Lexicon
    from ..tools.subject.address import Side

Quantity = Literal["max", "mean"]
Relation = Literal["fires", "silent", "greater", "within"]


@dataclass(frozen=True)
class Hypothesis:
    """A claim about a target in two renderings of one formula."""

    id: str
    sentence: str
    """At most 40 words of English that name every concept of the predicate."""
    predicate: str | None
    """The printed form of the predicate, or None for a claim in words only."""
    origin: str = ""
    """How the explainer came to it ("full", "tokens only"), for the log."""
    parent: str | None = None
    """The hypothesis that this one revises."""


@dataclass(frozen=True)
class Passage:
    """A text and the part of it that an experiment looks at, as character positions; None is the whole text."""

    text: str
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Experiment:
    """An instrument call with the outcome that a hypothesis predicts, written down before the result is seen."""

    id: str
    hypothesis: str
    passage: Passage
    relation: Relation
    side: Literal["+", "-"] = "+"
    quantity: Quantity = "max"
    other: Passage | None = None
    """Text B of the relation `greater`."""
    bounds: tuple[float, float] | None = None
    """[a, b] of the relation `within`, in activation units of `side`."""
    reason: str = ""

    @property
    def call(self) -> dict[str, Any]:
        """The instrument call, without the unit, which the loop fills in."""
        texts = [self.passage.text] + ([self.other.text] if self.other else [])
        return {"instrument": "activations.on_text", "arguments": {"texts": texts}}


@dataclass(frozen=True)
class Move:
    """What an explainer does next: new hypotheses, experiments on old or new ones, and whether it is ready."""

    hypotheses: tuple[Hypothesis, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    ready: bool = True
    """True when the hypotheses may go to the select split; False asks for another look at the outcomes first."""
    cannot_explain: str = ""
    """A reason, when the explainer has no explanation to offer. That is a good answer."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as it is journaled."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Move:
        """The inverse of `to_json`."""
        return cls(
            hypotheses=tuple(Hypothesis(**h) for h in data["hypotheses"]),
            experiments=tuple(experiment_from_json(e) for e in data["experiments"]),
            ready=data["ready"],
            cannot_explain=data["cannot_explain"],
        )


def experiment_from_json(data: Mapping[str, Any]) -> Experiment:
    """The inverse of `dataclasses.asdict` on an experiment."""
    fields = dict(data)
    fields["passage"] = _passage(fields["passage"])
    fields["other"] = _passage(fields["other"]) if fields.get("other") else None
    fields["bounds"] = tuple(fields["bounds"]) if fields.get("bounds") else None
    return Experiment(**fields)


def _passage(data: Mapping[str, Any]) -> Passage:
    span = data.get("span")
    return Passage(data["text"], tuple(span) if span else None)


@dataclass(frozen=True)
class Feedback:
    """What select says of a hypothesis. Nothing here comes from holdout."""

    score: float
    worst: tuple[Mapping[str, Any], ...] = ()
    """Passages of select where predicted and true differ most: `{text, token, true, predicted}`."""


@dataclass(frozen=True)
class Case:
    """Everything that an explainer may see of one target."""

    target: str
    side: Side
    round: int
    """Times that the hypotheses went to select so far."""
    moves: int
    """Moves that the explainer made so far on this target."""
    seed: int
    observation: Mapping[str, Any]
    """Results of the observing instrument calls, as JSON: statistics, exemplars of both sides, logit lens."""
    hypotheses: tuple[Hypothesis, ...] = ()
    outcomes: tuple[Mapping[str, Any], ...] = ()
    """`{experiment, hypothesis, observed, outcome: for | against | void}` of the experiments so far."""
    feedback: Mapping[str, Feedback] = field(default_factory=dict)
    """Hypothesis id to what select said."""
    explore: Callable[[], Explore] | None = None
    """The target's activations on explore, for minds that compute. None in a replay, where answers are journaled."""


@dataclass(frozen=True)
class Explore:
    """The explore split of one target: every token, its signal, and what is known of the vocabulary."""

    tokens: Any  # Int[np.ndarray, "contexts seq"]
    length: Any  # Int[np.ndarray, "contexts"]
    document: Any  # Int[np.ndarray, "contexts"]
    mask: Any  # Bool[np.ndarray, "contexts seq"]
    signal: Any  # Float[np.ndarray, "contexts seq"]
    lexicon: Lexicon
    cache: dict[str, Any]
    """Shared by the targets of a run: what is computed once for the corpus."""


class Explainer(Protocol):
    """A mind: it looks at a case and makes a move. Deterministic ones must depend on the case and nothing else."""

    name: str
    version: str
    """Part of the request's hash: raise it when the same case would get another move."""
    revises: bool
    """Whether it wants another move once it has seen what select says."""

    def move(self, case: Case) -> Move:
        """Propose, experiment, revise, or say that it cannot explain."""
        ...
