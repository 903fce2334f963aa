"""What an explainer is shown and what it may answer: the words of an investigation, as data.

A case goes in, a move comes out. Everything here is JSON, so that it can be journaled, replayed and
shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ...tools.files.jsonable import jsonable

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject.address import Side
    from ..llm.conversation import JournaledReply, Request

Quantity = Literal["max", "mean", "kl", "rank", "logprob", "logit_difference"]
"""Largest or mean activation over a span; largest KL that ablating the unit brings about on a text,
in nats; rank of a token among those that the unit promotes (1 is the first); change of a next
token's log-probability when the unit is steered; change of a logit difference when the unit takes
its values on another text."""
Relation = Literal["fires", "silent", "greater", "within", "raises", "lowers"]
LONGEST_LENS = 100
"""Tokens of a logit lens in which a rank is looked up; a token that is not among them has the next rank."""


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
    token: str = ""
    """The next token of the quantities `logprob` and `logit_difference`."""
    versus: str = ""
    """The token whose logit is subtracted in a `logit_difference`; `other` is the text that U's values are from."""
    strength: float = 0.0
    """What is added to the unit's activation for `logprob`."""

    @property
    def call(self) -> dict[str, Any]:
        """The instrument call, without the unit, which the loop fills in."""
        texts = [self.passage.text] + ([self.other.text] if self.other else [])
        if self.quantity == "kl":
            return {"instrument": "ablate", "arguments": {"texts": texts, "op": "mean"}}
        if self.quantity == "rank":
            return {"instrument": "logit_lens", "arguments": {"k": LONGEST_LENS}}
        if self.quantity == "logprob":
            pushed = {"text": self.passage.text, "strengths": [self.strength], "op": "add"}
            return {
                "instrument": "steer",
                "arguments": pushed | {"tokens": [self.token], "new_tokens": 0},
            }
        if self.quantity == "logit_difference":
            asked = {"base": texts[0], "source": texts[-1], "tokens": [self.token, self.versus]}
            return {"instrument": "patch", "arguments": asked}
        return {"instrument": "activations.on_text", "arguments": {"texts": texts}}


@dataclass(frozen=True)
class Call:
    """An instrument call that an explainer asks the loop to make, without a prediction."""

    id: str
    instrument: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """A number or a quotation in what an explainer says, and the evidence in which it stands; none: unsupported."""

    text: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Move:
    """What an explainer does next: new hypotheses, experiments on old or new ones, and whether it is ready."""

    hypotheses: tuple[Hypothesis, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    ready: bool = True
    """True when the hypotheses may go to the select split; False asks for another look at the outcomes first."""
    cannot_explain: str = ""
    """A reason, when the explainer has no explanation to offer. That is a good answer."""
    calls: tuple[Call, ...] = ()
    """Instruments to call beside the experiments; their answers are in the next case."""
    reply: str = ""
    """The journal's key of the language model's reply that this move was read from."""
    look: str = ""
    """The hypothesis that this move takes a second look at, in a conversation of its own."""
    favourite: str = ""
    """The hypothesis that the explainer wants to conclude with."""
    settled: bool = False
    """True when the explainer stays with its conclusion after it has seen the second look and the score on select."""
    findings: str = ""
    """What the explainer says in support of its conclusion."""
    claims: tuple[Claim, ...] = ()
    """The numbers and quotations of the findings, as the program traced them."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as it is journaled."""
        return jsonable(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Move:
        """The inverse of `to_json`."""
        return cls(
            hypotheses=tuple(Hypothesis(**h) for h in data["hypotheses"]),
            experiments=tuple(experiment_from_json(e) for e in data["experiments"]),
            ready=data["ready"],
            cannot_explain=data["cannot_explain"],
            calls=tuple(Call(**c) for c in data.get("calls", ())),
            claims=tuple(Claim(c["text"], tuple(c["evidence"])) for c in data.get("claims", ())),
            **{
                name: data[name]
                for name in ("reply", "look", "favourite", "settled", "findings")
                if name in data
            },
        )


def experiment_from_json(data: Mapping[str, Any]) -> Experiment:
    """The inverse of `jsonable` on an experiment."""
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
class Turn:
    """A reply of a language model, and what the loop answered to the instrument calls in it."""

    reply: Mapping[str, Any]
    """As it was journaled (`Reply.to_json`)."""
    results: Mapping[str, ToolAnswer]
    """By the call's id."""
    look: str = ""
    """The hypothesis under a second look, in whose conversation the reply was given."""


@dataclass(frozen=True)
class ToolAnswer:
    """An instrument's answer as text; of an error, how to repair the call."""

    text: str
    error: bool = False


@dataclass(frozen=True)
class ExploreFit:
    """How a predicate does on explore, or why it cannot be run. Explore may be looked at as often as one likes."""

    score: float | None = None
    worst: tuple[Mapping[str, Any], ...] = ()
    problem: str = ""
    worth: tuple[float, ...] = ()
    """What the correlation loses without each term, in the order of the terms."""
    missed: tuple[Mapping[str, Any], ...] = ()
    """Tokens at which it is off again and again: token, count, and what is missing there on average."""


@dataclass(frozen=True)
class GradedPredicate:
    """A formula whose grades the program found on explore, printed, or why it could not."""

    predicate: str = ""
    problem: str = ""
    left_out: str = ""
    """Which concepts were left out, as they are worth least, and which limit asked for it."""


@dataclass(frozen=True)
class InvestigationView:
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
    explore: Callable[[], ExploreData] | None = None
    """The target's activations on explore, for minds that compute. None in a replay, where answers are journaled."""
    conversation: Conversation | None = None
    """For minds that are language models; None for all others."""


@dataclass(frozen=True)
class Conversation:
    """What a mind that is a language model needs besides: what was said so far, and whom it asks."""

    ask: Callable[[Request], JournaledReply]
    """Asks the model through the journal: a request that was answered before costs nothing."""
    fit: Callable[[str], ExploreFit]
    """How a printed predicate does on explore."""
    grade: Callable[[tuple[str, ...]], GradedPredicate]
    """The best grades on explore of some printed concepts."""
    turns: tuple[Turn, ...] = ()
    competitor: Hypothesis | None = None
    """What another mind found without a language model: the explanation to beat."""
    competitor_score: float | None = None
    """The competitor's score on select."""
    note: str = ""
    """What a person tells the explainer about an earlier explanation of the target."""
    hidden: tuple[str, ...] = ()
    """Names that must not be said: the subject's."""
    retries: int = 0
    """How often this target was tried again after it had failed."""
    last_chance: bool = False
    """True when the next reply is the last one that is paid for."""


@dataclass(frozen=True)
class ExploreData:
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
    converses: bool
    """Whether it is a language model: its replies are journaled, not its moves, which are read from
    them anew, and its hypotheses must keep more predictions than they fail, a second look's among
    them."""
    moves_a_round: int
    """Moves that it may make before it must go to select."""

    def move(self, case: InvestigationView) -> Move:
        """Propose, experiment, revise, or say that it cannot explain."""
        ...
