"""Token attribution as an instrument: which tokens of a text make a unit fire, or a next token
likely?

The methods are in `tools/attribution`. What has not converged is never shown: its scores are
withheld.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..attribution.names import ALONE, BaselineKind, MethodName
from ..errors import ArgumentError
from ..subject.address import Unit
from .input_texts import TokenizedText, tokenize_texts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import quote_text

if TYPE_CHECKING:
    from ..attribution.curves import Curves
    from ..attribution.result import TokenAttribution, Verdict
    from ..attribution.target import AttributionTarget, Scalar
    from ..subject import Subject

SHOWN = 12
"""Tokens that a rendering lists, the most credited first."""


@dataclass(frozen=True)
class AttributedText(Result):
    """Credit of each token for a scalar.

    Attributes:
        tokens: up to the scalar's position; what stands behind it has no part in it.
        counterfactual: the baseline's tokens, None where it is no text.
        scores: one a token, or None where the method has not converged: then there is nothing to be believed.
        error: |sum of credit - what it should be|, as a share of the latter; None where it need not add up.
        curves: deletion and insertion against random orders; `randomised`: rank correlation of the credits with those
            of a subject whose last layers are noise, by share of layers. Both None unless asked
            for, or where too few tokens differ.
    """

    scalar: str
    method: MethodName
    verdict: Verdict
    tokens: list[str]
    counterfactual: list[str] | None
    scores: list[float] | None
    value: float
    reference: float | None
    error: float | None
    evaluations: int
    notes: list[str]
    curves: Curves | None
    randomised: dict[str, float | None] | None

    def render(self) -> str:
        error = "" if self.error is None else f", error {self.error:.2%}"
        head = f"{self.scalar} = {self.value:.3f}"
        head += "" if self.reference is None else f", {self.reference:.3f} for the baseline"
        method = f"{self.method}: {self.verdict.replace('_', ' ')}{error}, {self.evaluations} rows"
        notes = [f"note: {note}" for note in self.notes]
        if self.scores is None:
            return "\n".join([head, f"{method}: no evidence, scores withheld", *notes])
        return "\n".join([head, method, *self._credits(self.scores), *self._checks(), *notes])

    def _credits(self, scores: list[float]) -> list[str]:
        order = sorted(range(len(scores)), key=lambda at: -abs(scores[at]))
        return [
            f"  {scores[at]:+.3f}  token {at} {self._token(at)}"
            for at in order[:SHOWN]
            if scores[at]
        ]

    def _token(self, at: int) -> str:
        own = f'"{quote_text(self.tokens[at])}"'
        if (
            self.method in ALONE
            or self.counterfactual is None
            or self.counterfactual[at] == self.tokens[at]
        ):
            return own
        return f'{own} (instead of "{quote_text(self.counterfactual[at])}")'

    def _checks(self) -> list[str]:
        lines: list[str] = []
        if self.curves is not None:
            lines.append(
                f"better than {self.curves.n_random} random orders of {self.curves.n_moved} tokens: deletion "
                f"{self.curves.deletion_gain:+.2f}, insertion {self.curves.insertion_gain:+.2f} (0 is chance)"
            )
        if self.randomised is not None:
            shown = ", ".join(
                f"{k}: {'-' if v is None else f'{v:+.2f}'}" for k, v in self.randomised.items()
            )
            lines.append(
                f"rank correlation with a subject whose last layers are noise, by share of them: {shown}"
            )
        return lines


@instrument("attribute", needs=("subject",))
def attribute(
    context: InstrumentContext,
    text: Text,
    counterfactual: Annotated[
        Text | None,
        Field(
            description="a text of as many tokens that differs in what you ask about; gradient and relevance need none"
        ),
    ] = None,
    unit: UnitAddress | None = None,
    answer: Annotated[
        str | None, Field(description="a next token, with its leading space; instead of a unit")
    ] = None,
    foil: Annotated[
        str | None, Field(description="a rival next token: the logit difference is explained")
    ] = None,
    position: Annotated[
        int | None, Field(ge=0, description="token whose scalar it is; default: the last")
    ] = None,
    method: MethodName = "integrated_gradients",
    baseline: Annotated[
        BaselineKind, Field(description="eos and zero need no counterfactual and seldom converge")
    ] = "counterfactual",
    check: Annotated[
        bool, Field(description="also deletion and insertion curves and a randomised subject")
    ] = False,
) -> AttributedText:
    """Which tokens of a text make a unit fire, or make a next token likely, beside a counterfactual
    text.

    Write a counterfactual of as many tokens that differs in what you suspect; only tokens that
    differ can get credit. Then integrated_gradients adds up to the difference of the two, and
    occlusion puts back one token at a time. gradient and gradient_x_input are slopes at the text
    and no more; gradient and relevance look at the text alone, and need a counterfactual only for
    `check`. What has not converged is withheld.
    """
    from ..attribution.curves import curves
    from ..attribution.methods import METHODS, RANKING
    from ..attribution.randomisation import randomisation
    from ..attribution.target import make_target

    subject = context.require_subject()
    (ready,) = tokenize_texts(subject, [text])
    twin = tokenize_texts(subject, [counterfactual])[0] if counterfactual is not None else None
    scalar, name = _scalar(subject, ready, unit, answer, foil, position)
    if method in ALONE and not check:
        twin, baseline = None, "zero"  # of no consequence: the method does not look at it
    case = make_target(subject, scalar, ready.ids, None if twin is None else twin.ids, baseline)
    found = METHODS[method](case)
    checked = check and found.is_evidence
    drawn = randomisation(case, RANKING[method], found) if checked else None
    return _attributed(
        case, name, method, found, ready, curves(case, found) if checked else None, drawn
    )


def _scalar(
    subject: Subject,
    text: TokenizedText,
    unit: str | None,
    answer: str | None,
    foil: str | None,
    position: int | None,
) -> tuple[Scalar, str]:
    """What is explained, and its name."""
    from ..attribution.target import Activation, Logits

    at = len(text.ids) - 1 if position is None else position
    where = (
        f'after "{quote_text(text.tokens[at])}" (token {at})'
        if at < len(text.ids)
        else f"at token {at}"
    )
    if (unit is None) == (answer is None) or (foil is not None and answer is None):
        raise ArgumentError(
            f"attribute: unit {unit!r}, answer {answer!r}, foil {foil!r} given; give unit or answer"
        )
    if unit is not None:
        return Activation(Unit.parse(unit), position), f"{unit} {where.replace('after', 'on')}"
    assert answer is not None
    foils = () if foil is None else (_one_token(subject, foil),)
    against = "" if foil is None else f' - logit of "{quote_text(foil)}"'
    name = f'logit of "{quote_text(answer)}"{against} {where}'
    return Logits((_one_token(subject, answer),), foils, position), name


def _one_token(subject: Subject, text: str) -> int:
    ids = subject.tokenize(text).ids
    if len(ids) != 1:
        raise ArgumentError(
            f"attribute: {text!r} is {len(ids)} tokens; give one token, with its leading space where it follows a word"
        )
    return ids[0]


def _attributed(
    case: AttributionTarget,
    scalar: str,
    method: MethodName,
    found: TokenAttribution,
    text: TokenizedText,
    curves: Curves | None,
    randomised: dict[float, float] | None,
) -> AttributedText:
    strings = case.subject.token_strings()
    other = None if case.baseline_ids is None else [strings[i] for i in case.baseline_ids.tolist()]
    drawn = (
        None
        if randomised is None
        else {f"{k:g}": v if v == v else None for k, v in randomised.items()}
    )  # nan
    value, reference, error = (None if v is None else rounded([v])[0] for v in _numbers(found))
    assert value is not None
    return AttributedText(
        scalar=scalar,
        method=method,
        verdict=found.verdict,
        tokens=text.tokens[: len(case.ids)],
        counterfactual=other,
        scores=rounded(found.scores.tolist()) if found.is_evidence else None,
        value=value,
        reference=reference,
        error=error,
        evaluations=found.evaluations,
        notes=list(found.notes),
        curves=curves,
        randomised=drawn,
    )


def _numbers(found: TokenAttribution) -> tuple[float | None, ...]:
    return found.value, found.reference, found.error
