"""Token attribution: which tokens of a text make a unit fire, or a next token likely.

The methods are in `tools/attribution`. Scores of a method that has not converged are withheld.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..attribution.names import ALONE, BaselineKind, MethodName
from ..errors import ArgumentError
from ..subject.address import Unit
from ..subject.input_texts import InputText, tokenize_texts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import quote_text

if TYPE_CHECKING:
    from ..attribution.curves import Curves
    from ..attribution.result import TokenAttribution, Verdict
    from ..attribution.target import AttributionTarget, Scalar
    from ..subject import Subject

N_SHOWN = 12
"""Tokens that a rendering lists, those with the most credit first."""


@dataclass(frozen=True)
class AttributedText(Result):
    """Credit of each token for a scalar.

    Attributes:
        tokens: up to the scalar's position; later ones do not affect it.
        counterfactual: the baseline's tokens; None if the baseline is not a text.
        scores: one for each token; None if the method has not converged.
        error: how far the credits are from what they should add up to, as a share of it; misses of
            integrated gradients' intervals cannot cancel. None for a method whose credits need not
            add up.
        curves: deletion and insertion against random orders; None unless requested, or if too few
            tokens differ.
        randomised: rank correlation of the credits with those of a subject whose last layers are
            noise, by share of layers; None as for `curves`.
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
        head = f"{self.scalar} = {self.value:.3f}"
        if self.reference is not None:
            head += f", {self.reference:.3f} for the baseline"
        error = "" if self.error is None else f", error {self.error:.2%}"
        method = f"{self.method}: {self.verdict.replace('_', ' ')}{error}, {self.evaluations} rows"
        notes = [f"note: {note}" for note in self.notes]
        if self.scores is None:
            return "\n".join([head, f"{method}: no evidence, scores withheld", *notes])
        ranked = sorted(enumerate(self.scores), key=lambda token: -abs(token[1]))[:N_SHOWN]
        credits = [f"  {s:+.3f}  token {i} {self._token(i)}" for i, s in ranked if s]
        return "\n".join([head, method, *credits, *self._checks(), *notes])

    def _token(self, position: int) -> str:
        token = f'"{quote_text(self.tokens[position])}"'
        if self.method in ALONE or self.counterfactual is None:
            return token
        other = self.counterfactual[position]
        same = other == self.tokens[position]
        return token if same else f'{token} (instead of "{quote_text(other)}")'

    def _checks(self) -> list[str]:
        lines: list[str] = []
        if (curves := self.curves) is not None:
            lines.append(
                f"better than {curves.n_random} random orders of {curves.n_moved} tokens: "
                f"deletion {curves.deletion_gain:+.2f}, insertion {curves.insertion_gain:+.2f} "
                "(0 is chance)"
            )
        if self.randomised is not None:
            correlations = ", ".join(
                f"{share}: {'-' if r is None else f'{r:+.2f}'}"
                for share, r in self.randomised.items()
            )
            lines.append(
                "rank correlation with a subject whose last layers are noise, by share of them: "
                + correlations
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
    """Find which tokens of a text make a unit fire or a next token likely.

    Write a counterfactual text of as many tokens that differs in what you suspect; only tokens that
    differ can get credit. Then integrated_gradients adds up to the difference of the two, and
    occlusion puts back one token at a time. gradient and gradient_x_input are only slopes at the
    text; gradient and relevance use the text alone, and need a counterfactual only for `check`.
    Scores that have not converged are withheld.
    """
    from ..attribution.curves import curves
    from ..attribution.methods import METHODS, RANKING
    from ..attribution.randomisation import randomisation
    from ..attribution.target import make_target

    subject = context.require_subject()
    (tokenized,) = tokenize_texts(subject, [text])
    other = None if counterfactual is None else tokenize_texts(subject, [counterfactual])[0].ids
    scalar, name = _scalar(subject, tokenized, unit, answer, foil, position)
    if method in ALONE and not check:
        other, baseline = None, "zero"  # the method does not look at a baseline
    target = make_target(subject, scalar, tokenized.ids, other, baseline)
    attribution = METHODS[method](target)
    result = _result(name, method, tokenized, target, attribution)
    if not (check and attribution.is_evidence):
        return result
    by_share = randomisation(target, RANKING[method], attribution)
    correlations = None
    if by_share is not None:
        correlations = {f"{k:g}": None if math.isnan(r) else r for k, r in by_share.items()}
    return replace(result, curves=curves(target, attribution), randomised=correlations)


def _result(
    scalar: str,
    method: MethodName,
    text: InputText,
    target: AttributionTarget,
    attribution: TokenAttribution,
) -> AttributedText:
    strings, baseline = target.subject.token_strings(), target.baseline_ids
    return AttributedText(
        scalar=scalar,
        method=method,
        verdict=attribution.verdict,
        tokens=text.tokens[: len(target.ids)],
        counterfactual=None if baseline is None else [strings[i] for i in baseline.tolist()],
        scores=rounded(attribution.scores.tolist()) if attribution.is_evidence else None,
        value=rounded([attribution.value])[0],
        reference=_rounded_or_none(attribution.reference),
        error=_rounded_or_none(attribution.error),
        evaluations=attribution.evaluations,
        notes=list(attribution.notes),
        curves=None,
        randomised=None,
    )


def _rounded_or_none(value: float | None) -> float | None:
    return None if value is None else rounded([value])[0]


def _scalar(
    subject: Subject,
    text: InputText,
    unit: str | None,
    answer: str | None,
    foil: str | None,
    position: int | None,
) -> tuple[Scalar, str]:
    """The scalar to attribute, and its name."""
    from ..attribution.target import Activation, Logits

    if (unit is None) == (answer is None) or (foil is not None and answer is None):
        raise ArgumentError(
            f"attribute: unit {unit!r}, answer {answer!r}, foil {foil!r} given; give unit or answer"
        )
    at = len(text.ids) - 1 if position is None else position
    in_text = at < len(text.ids)  # if not, making the target says so
    if unit is not None:
        where = f'on "{quote_text(text.tokens[at])}" (token {at})' if in_text else f"at token {at}"
        return Activation(Unit.parse(unit), position), f"{unit} {where}"
    assert answer is not None
    where = f'after "{quote_text(text.tokens[at])}" (token {at})' if in_text else f"at token {at}"
    foils = () if foil is None else (_one_token(subject, foil),)
    against = "" if foil is None else f' - logit of "{quote_text(foil)}"'
    name = f'logit of "{quote_text(answer)}"{against} {where}'
    return Logits((_one_token(subject, answer),), foils, position), name


def _one_token(subject: Subject, text: str) -> int:
    ids = subject.tokenize(text).ids
    if len(ids) != 1:
        raise ArgumentError(
            f"attribute: {text!r} is {len(ids)} tokens; "
            "give one token, with its leading space where it follows a word"
        )
    return ids[0]
