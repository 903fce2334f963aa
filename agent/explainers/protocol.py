"""The explainer protocol: an explainer is shown an `InvestigationView` and answers with a `Move`.

Everything here is plain data that converts to JSON, so that it can be journaled, replayed and
shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from ...tools.files.jsonable import jsonable

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Int

    from ...tools.dissection import Lexicon
    from ...tools.subject.address import Unit
    from ..llm.conversation import JournaledReply, Request

Quantity = Literal["max", "mean", "kl", "rank", "logprob", "logit_difference"]
"""What an experiment measures:

    max, mean         activation over a span
    kl                largest KL divergence on a text when the unit is ablated, in nats
    rank              rank of a token among those that the unit promotes (1 is the first)
    logprob           change of the next token's log-probability when the unit is steered, in nats
    logit_difference  change of a logit difference when the unit takes its values on another text
"""
Relation = Literal["fires", "silent", "greater", "within", "raises", "lowers"]
LONGEST_LENS = 100
"""Tokens of a logit lens that are searched for a rank; a token that is missing gets the next rank."""


_LEFT_OUT_IF_EMPTY = frozenset({"gist", "written", "inherited", "level", "parts"})
"""Fields that only language models fill, and that the first logs lack: the hashes of other moves, and
of older ones, stay what they were."""


def recorded(value: Any) -> Any:
    """A value of this module as the log has it: plain JSON."""
    return _without_empty(jsonable(value))


def _without_empty(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {k: v for k, v in value.items() if v or k not in _LEFT_OUT_IF_EMPTY}
    return {key: _without_empty(item) for key, item in kept.items()}


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
    gist: str = ""
    """A language model's own words for it, at most 25. Next to a formula they decide no verdict."""
    written: str = ""
    """The formula as a language model wrote it, if the predicate is not the same."""
    inherited: tuple[str, ...] = ()
    """Experiments of the parent whose predictions also follow from this predicate."""

    @property
    def words(self) -> str:
        """What a reader is told who has only words: the gist if there is one, else the sentence."""
        return self.gist or self.sentence

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From a log row, which may have further keys (the round, a score)."""
        fields: dict[str, Any] = {n: data[n] for n in cls.__dataclass_fields__ if n in data}
        fields["inherited"] = tuple(data.get("inherited", ()))
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return recorded(self)


@dataclass(frozen=True)
class Passage:
    """A text and the part of it that an experiment reads, in characters; None is the whole text."""

    text: str
    span: tuple[int, int] | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `jsonable`."""
        span = data.get("span")
        return cls(data["text"], tuple(span) if span else None)


@dataclass(frozen=True)
class Experiment:
    """An instrument call and the outcome that a hypothesis predicts, logged before the call."""

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
    """The token whose logit a `logit_difference` subtracts; `other` then holds the source text."""
    strength: float = 0.0
    """What is added to the unit's activation for `logprob`."""
    level: float = 0.0
    """Of `fires`: the share of the side's range that counts as firing, at least q90 (`predictions`)."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `jsonable`."""
        parts: dict[str, Any] = {"passage": Passage.from_json(data["passage"])}
        if data.get("other"):
            parts["other"] = Passage.from_json(data["other"])
        if data.get("bounds"):
            parts["bounds"] = tuple(data["bounds"])
        return cls(**(dict(data) | parts))

    @property
    def texts(self) -> list[str]:
        """Text A, and text B if there is one."""
        return [self.passage.text] + ([self.other.text] if self.other else [])

    @property
    def call(self) -> dict[str, Any]:
        """The instrument call, without the unit, which the loop fills in."""
        texts = self.texts
        match self.quantity:
            case "kl":
                instrument, arguments = "ablate", {"texts": texts, "op": "mean"}
            case "rank":
                instrument, arguments = "logit_lens", {"k": LONGEST_LENS}
            case "logprob":
                steering = {"text": texts[0], "strengths": [self.strength], "op": "add"}
                instrument = "steer"
                arguments = steering | {"tokens": [self.token], "new_tokens": 0}
            case "logit_difference":
                tokens = [self.token, self.versus]
                instrument = "patch"
                arguments = {"base": texts[0], "source": texts[-1], "tokens": tokens}
            case "max" | "mean":
                instrument, arguments = "activations.on_text", {"texts": texts}
        return {"instrument": instrument, "arguments": arguments}


@dataclass(frozen=True)
class Call:
    """An instrument call that an explainer asks the loop to make, without a prediction."""

    id: str
    instrument: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """A number or a quotation in an explainer's findings."""

    text: str
    evidence: tuple[str, ...] = ()
    """Ids of the evidence that contains it; empty when it is unsupported."""


@dataclass(frozen=True)
class Move:
    """What an explainer does next: new hypotheses, experiments, and whether it is ready for select."""

    hypotheses: tuple[Hypothesis, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    ready: bool = True
    """Whether the hypotheses may go to select; False asks to see the outcomes and move again first."""
    cannot_explain: str = ""
    """A reason, when the explainer has no explanation to offer. That is a good answer."""
    calls: tuple[Call, ...] = ()
    """Instruments to call besides the experiments; the next view has their results."""
    reply: str = ""
    """Journal key of the language model's reply that this move was parsed from."""
    look: str = ""
    """The hypothesis that this move takes a second look at, in a separate conversation."""
    favourite: str = ""
    """The hypothesis that the explainer wants to conclude with."""
    settled: bool = False
    """Whether it stays with its conclusion after seeing the second look and the score on select."""
    findings: str = ""
    """The explainer's support for its conclusion, in words."""
    claims: tuple[Claim, ...] = ()
    """The numbers and quotations of the findings, traced to evidence by the program."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as it is journaled."""
        return recorded(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; missing keys have their defaults."""
        fields = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        claims = ((claim["text"], claim["evidence"]) for claim in data.get("claims", ()))
        parts = {
            "hypotheses": tuple(map(Hypothesis.from_json, data.get("hypotheses", ()))),
            "experiments": tuple(map(Experiment.from_json, data.get("experiments", ()))),
            "calls": tuple(Call(**call) for call in data.get("calls", ())),
            "claims": tuple(Claim(text, tuple(evidence)) for text, evidence in claims),
        }
        return cls(**(fields | parts))


@dataclass(frozen=True)
class Feedback:
    """How a hypothesis does on select. Nothing here comes from holdout."""

    score: float
    worst: tuple[Mapping[str, Any], ...] = ()
    """Passages of select where predicted and true differ most: `{text, token, true, predicted}`."""
    parts: Mapping[str, float | None] = field(default_factory=dict)
    """Scores of the formula's parts on select (`investigation.part_scores`); for language models."""


@dataclass(frozen=True)
class AnsweredReply:
    """A reply of a language model, and the results of the instrument calls in it."""

    journaled: JournaledReply
    results: Mapping[str, ToolAnswer]
    """By the call's id."""
    look: str = ""
    """The hypothesis under a second look, if the reply belongs to that conversation."""


@dataclass(frozen=True)
class ToolAnswer:
    """An instrument's result as text; after an error, how to repair the call."""

    text: str
    error: bool = False


@dataclass(frozen=True)
class ExploreFit:
    """How a predicate does on explore, or why it cannot be run. Explainers may read explore freely."""

    score: float | None = None
    worst: tuple[Mapping[str, Any], ...] = ()
    problem: str = ""
    worth: tuple[float, ...] = ()
    """What the correlation loses without each term, in the order of the terms."""
    missed: tuple[Mapping[str, Any], ...] = ()
    """Tokens with a repeated error: `{token, count, missing}`, `missing` being its mean."""


@dataclass(frozen=True)
class GradedPredicate:
    """A formula whose grades the program fitted on explore, printed, or why it could not."""

    predicate: str = ""
    problem: str = ""
    left_out: str = ""
    """Which concepts were left out because they are worth least, and which limit required it."""


@dataclass(frozen=True)
class TargetData:
    """One split of one target: every token, the signal to explain, and the vocabulary."""

    tokens: Int[np.ndarray, "contexts seq"]
    length: Int[np.ndarray, " contexts"]
    document: Int[np.ndarray, " contexts"]
    """The document of each context; near-duplicates have one number."""
    mask: Bool[np.ndarray, "contexts seq"]
    """The tokens that count: real ones, without position 0."""
    signal: Float[np.ndarray, "contexts seq"]
    lexicon: Lexicon
    cache: dict[str, Any]
    """Shared by all targets of a run, for what is computed once per corpus."""


@dataclass(frozen=True)
class InvestigationView:
    """Everything that an explainer may see of one target."""

    unit: Unit
    round: int
    """How often the hypotheses went to select so far."""
    moves: int
    """Moves that the explainer made on this target so far."""
    seed: int
    observation: Mapping[str, Any]
    """Results of the observing instruments, as JSON: statistics, exemplars, logit lens."""
    explore: Callable[[], TargetData]
    """The target's activations on explore, for explainers that compute."""
    hypotheses: tuple[Hypothesis, ...] = ()
    outcomes: tuple[Mapping[str, Any], ...] = ()
    """`{experiment, hypothesis, observed, outcome: for | against | void}`, one per experiment."""
    feedback: Mapping[str, Feedback] = field(default_factory=dict)
    """By the hypothesis' id: how it does on select."""
    conversation: Conversation | None = None
    """For language models only."""

    def to_json(self) -> dict[str, Any]:
        """What a move may depend on. The journal hashes it, so names and order must not change."""
        return {
            "target": str(self.unit),
            "side": self.unit.side,
            "round": self.round,
            "moves": self.moves,
            "seed": self.seed,
            "observation": self.observation,
            "hypotheses": recorded(self.hypotheses),
            "outcomes": recorded(self.outcomes),
            "feedback": recorded(self.feedback),
        }


@dataclass(frozen=True)
class Conversation:
    """What a language model needs besides the view: its earlier replies, and a way to ask."""

    ask: Callable[[Request], JournaledReply]
    """Asks the model through the journal: a request that was answered before costs nothing."""
    fit: Callable[[str], ExploreFit]
    """How a printed predicate does on explore."""
    grade: Callable[[tuple[str, ...]], GradedPredicate]
    """The best grades on explore for some printed concepts."""
    sentence: Callable[[str], str]
    """A printed predicate in English."""
    follows: Callable[[str, Sequence[Experiment]], Sequence[bool]]
    """Whether the predictions of some experiments follow from a printed predicate."""
    replies_after: Callable[[int], Sequence[AnsweredReply]]
    """The replies of all moves of this target but the first n."""
    competitor: Hypothesis | None = None
    """The explanation to beat, found without a language model."""
    competitor_score: float | None = None
    """The competitor's score on select."""
    note: str = ""
    """A person's remark about an earlier explanation of the target."""
    hidden: tuple[str, ...] = ()
    """Names that the model must not see: the subject's."""
    retries: int = 0
    """How often this target was retried after a failure."""


class Explainer(Protocol):
    """Looks at a view and makes a move. A deterministic one depends on nothing but the view."""

    name: str
    version: str
    """Part of the request's hash: raise it when the same view would give another move."""
    revises: bool
    """Whether it wants another move after it has seen its score on select."""
    converses: bool
    """Whether it is a language model. It decides how a run drives it (`investigation.drivers`)."""
    moves_a_round: int
    """Moves that it may make before its hypotheses must go to select."""

    def move(self, view: InvestigationView) -> Move:
        """Propose, experiment, revise, or say that it cannot explain."""
        ...
