"""An explanation set: explanations of units with what is known of them, whoever made them.

Every format of `formats/` reads into this or writes from it, so a format knows no other. What a file
does not say is empty, or None, and `ExplanationSet.missing` says so in words: it is never filled in.

    ExplanationSet      where it comes from, its units, what is missing from the file
    └── ExplainedUnit   an address, the words, a verdict or the failure
        ├── SeenText        tokens with the unit's value at each, and who has seen them
        ├── RecordedScore   one number with its scorer, text, interval and floors
        └── SaidTurn            one message of the conversation that led there
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

from ...tools.errors import CorruptError
from ...tools.files.jsonable import jsonable

UNKNOWN = "unknown"
"""Split or text of a score whose file does not say on which it was measured."""

Role = Literal["prompt", "scored", "shown"]


@dataclass(frozen=True)
class SeenText:
    """A text with the unit's value at each of its tokens."""

    tokens: tuple[str, ...]
    values: tuple[float, ...] = ()
    """One for each token; empty if the file has none."""
    role: Role = "shown"
    """`prompt`: the explainer saw it; `scored`: a scorer was asked about it; `shown`: an exemplar of
    which the file does not say who saw it."""
    group: str = ""
    """Of which kind it is in its file: ``top``, ``middling``, ``random``, ``quantile 3``, ..."""
    scorer: str = ""
    """Of a scored text: which scorer was asked."""
    active: bool | None = None
    """Of a scored text: whether the unit fires in it."""
    answer: bool | None = None
    """Of a scored text: whether the judge said that it fires."""
    predicted: tuple[float, ...] = ()
    """Of a simulated text: the value that was predicted at each token."""
    ids: tuple[int, ...] = ()
    """Token ids of the subject; empty if the file has none."""

    @property
    def text(self) -> str:
        """The tokens joined."""
        return "".join(self.tokens)

    @property
    def peak(self) -> int:
        """The token with the largest absolute value; 0 without values."""
        sizes = [abs(value) for value in self.values]
        return sizes.index(max(sizes)) if sizes else 0


@dataclass(frozen=True)
class RecordedScore:
    """A score as its file has it. Not `evals.score.Score`, which is measured here and has a split."""

    scorer: str
    value: float
    split: str = UNKNOWN
    """`holdout` only where the file says that nothing else had read the text."""
    text: str = UNKNOWN
    low: float | None = None
    high: float | None = None
    floors: Mapping[str, float | None] = field(default_factory=dict)
    judge: str = ""
    """The model that judged or simulated."""

    @property
    def name(self) -> str:
        """What tells it from the other scores of its unit: ``simulation/holdout/random``."""
        return "/".join(part for part in (self.scorer, self.split, self.text) if part != UNKNOWN)


class SaidTurn(NamedTuple):
    """One message of a conversation."""

    speaker: str
    """``system``, ``user``, ``assistant`` or ``tool``."""
    text: str


class TokenLogit(NamedTuple):
    """A token that a unit raises or lowers, with the change of its logit."""

    token: str
    logit: float


@dataclass(frozen=True)
class ExplainedUnit:
    """One unit with its explanation, or with the reason why it has none."""

    unit: str
    """Its address here: ``mlp.6.650``, ``head.5.3``, ``mlp.6.650-``, ``sae.NAME.4512``."""
    place: str = ""
    """Where its file has it, for messages and for going back: ``layers.6.mlp latent 650``."""
    sentence: str = ""
    """The explanation in words; "" if there is none."""
    predicate: str = ""
    """The formula that predicts its activations; "" if the words have none."""
    gist: str = ""
    """A language model's own words next to a formula."""
    headline: str = ""
    explainer: str = ""
    status: Literal["done", "failed", "pending"] = "done"
    error: str = ""
    """Why it failed. A failure is no explanation and has no score."""
    verdict: str = ""
    reason: str = ""
    tier: str = ""
    p: float | None = None
    texts: tuple[SeenText, ...] = ()
    scores: tuple[RecordedScore, ...] = ()
    promoted: tuple[TokenLogit, ...] = ()
    suppressed: tuple[TokenLogit, ...] = ()
    statistics: Mapping[str, float] = field(default_factory=dict)
    """``density`` (share of tokens on which it fires), ``max``, ``min``, ``mean``, ... as far as known."""
    conversation: tuple[SaidTurn, ...] = ()

    @property
    def words(self) -> str:
        """What a reader is told who has only words: the gist, else the sentence."""
        return self.gist or self.sentence

    def texts_of(self, *roles: Role) -> list[SeenText]:
        """The texts with one of these roles, in their order."""
        return [text for text in self.texts if text.role in roles]

    def score(self, scorer: str, split: str, text: str) -> RecordedScore | None:
        """The score of that scorer on that text, if there is one."""
        for score in self.scores:
            if (score.scorer, score.split, score.text) == (scorer, split, text):
                return score
        return None


@dataclass(frozen=True)
class SetOrigin:
    """Where a set comes from, as far as its files say."""

    format: str
    """Name of the format that was read (`formats`), or ``run``."""
    path: str = ""
    """The file or folder, as given; the name of a run."""
    tool: str = ""
    """What made it, with its version."""
    subject: str = ""
    revision: str = ""
    """Hash of the subject's weights."""
    corpus: str = ""
    explainer: str = ""
    seed: int | None = None
    made: str = ""
    """When, ISO 8601."""


@dataclass(frozen=True)
class ExplanationSet:
    """Explanations of units, and what is missing from their files."""

    name: str
    origin: SetOrigin
    units: tuple[ExplainedUnit, ...]
    missing: tuple[str, ...] = ()
    """What the files do not have, one line for each kind of thing: ``a holdout: ...``."""
    notes: tuple[str, ...] = ()
    """What was assumed or left out while reading, one line for each kind of thing."""

    def __iter__(self) -> Iterator[ExplainedUnit]:
        return iter(self.units)

    def __len__(self) -> int:
        return len(self.units)

    @property
    def explained(self) -> list[ExplainedUnit]:
        """The units that have an explanation."""
        return [unit for unit in self.units if unit.sentence]

    def head(self) -> dict[str, Any]:
        """All but the units, as JSON."""
        row = {"name": self.name, "origin": self.origin}
        return jsonable({**row, "missing": self.missing, "notes": self.notes})

    @classmethod
    def from_head(cls, head: Mapping[str, Any], units: Sequence[ExplainedUnit]) -> Self:
        """The inverse of `head`, with the units."""
        try:
            origin = SetOrigin(**head["origin"])
            missing, notes = tuple(head["missing"]), tuple(head["notes"])
            return cls(str(head["name"]), origin, tuple(units), missing, notes)
        except (KeyError, TypeError) as error:
            raise CorruptError(f"not the head of an explanation set: {error!r}") from error


def lacking(units: Sequence[ExplainedUnit], holdout: str, prompt: str) -> tuple[str, ...]:
    """What is missing from files, in a line for each kind of thing.

    Args:
        holdout: why scores of which nothing else is said are not on held-out text.
        prompt: why nothing says what the explainer was shown.
    """
    lines: list[str] = []
    scores = [score for unit in units for score in unit.scores]
    if not scores:
        lines.append("scores: none")
    if not scores or any(score.split == UNKNOWN for score in scores):
        lines.append(f"a holdout: {holdout}")
    if not any(text.role == "prompt" for unit in units for text in unit.texts):
        lines.append(f"what the explainer was shown: {prompt}")
    return tuple(lines)


def unit_row(unit: ExplainedUnit) -> dict[str, Any]:
    """A unit as JSON; empty values are left out."""
    return {
        name: value for name, value in jsonable(unit).items() if value not in ("", None, [], {})
    }


def unit_of_row(row: Mapping[str, Any]) -> ExplainedUnit:
    """The inverse of `unit_row`.

    Raises:
        CorruptError: a value is missing, unknown, of another type, or not finite.
    """
    try:
        values = dict(row)
        values["texts"] = tuple(_seen_text(text) for text in row.get("texts", ()))
        values["scores"] = tuple(_recorded_score(score) for score in row.get("scores", ()))
        values["conversation"] = tuple(SaidTurn(*turn) for turn in row.get("conversation", ()))
        for name in ("promoted", "suppressed"):
            values[name] = tuple(TokenLogit(*pair) for pair in row.get(name, ()))
        return ExplainedUnit(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptError(f"not a unit of an explanation set: {error}") from error


def _seen_text(row: Mapping[str, Any]) -> SeenText:
    lists = {name: tuple(row.get(name, ())) for name in ("tokens", "values", "predicted", "ids")}
    text = SeenText(**{**row, **lists})
    for values in (text.values, text.predicted):
        if values and len(values) != len(text.tokens):
            raise ValueError(f"{len(text.tokens)} tokens with {len(values)} values")
        if not all(map(math.isfinite, values)):
            raise ValueError("an activation is not finite")
    return text


def _recorded_score(row: Mapping[str, Any]) -> RecordedScore:
    score = RecordedScore(**row)
    if not math.isfinite(score.value):
        raise ValueError(f"the score {score.name} is {score.value}")
    return score
