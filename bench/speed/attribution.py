"""Integrated gradients of a prompt of 32 tokens, by hubel and by captum in one process: their cost and
their error.

Credit has to add up to f(prompt) - f(baseline), so the error of each is known without the other.
hubel continues until it is below 1 %; captum takes a fixed number of steps, among others its default
of 50.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")

if TYPE_CHECKING:
    from torch import Tensor

    from ...tools.attribution.target import AttributionTarget
    from ...tools.subject import Subject


class PromptCase(NamedTuple):
    """A prompt, a counterfactual of equal length, and the two next tokens whose logits are compared."""

    text: str
    twin: str
    answer: str
    foil: str


_TEXT = (
    "Yesterday afternoon, after a day at work, Mary and John went to the store with some friends from school, and "
    "then John gave a drink of water to"
)
DEFAULT_CASE = PromptCase(_TEXT, _TEXT.replace("then John", "then Mary"), " Mary", " John")
STEPS = (20, 50)
"""Of captum: as few as hubel's first attempt takes, and captum's default."""
ROWS = 8
"""Rows of captum's passes; its default, one at a time, takes three times as long here."""


class IntegrationCost(NamedTuple):
    """One way to integrate gradients.

    Attributes:
        error: |sum of credit - what it should add up to|, as a share of the latter.
        seconds: wall time.
        cpu_seconds: of all threads.
        agrees: correlation of the tokens' credit with hubel's for the same baseline; None for hubel.
    """

    way: str
    baseline: str
    error: float
    seconds: float
    cpu_seconds: float
    agrees: float | None


def attribution_speed(
    subject: Subject, question: PromptCase = DEFAULT_CASE
) -> list[IntegrationCost]:
    """hubel first, then captum if it is installed (`pip install hubel[oracles]`)."""
    from ...tools.attribution.integrated import integrated_gradients
    from ...tools.attribution.target import Logits, make_target

    ids, other, answer, foil = (subject.tokenize(each).ids for each in question)

    def case(baseline: list[int]) -> AttributionTarget:
        return make_target(subject, Logits(tuple(answer), tuple(foil)), ids, baseline)

    integrated_gradients(case(other))  # the first of a process also loads code
    ours, seconds, cpu = _timed(lambda: integrated_gradients(case(other)))
    assert ours.error is not None  # integrated gradients always know it
    rows = [IntegrationCost("hubel", "counterfactual", ours.error, seconds, cpu, None)]
    if find_spec("captum") is None:
        return rows
    end = subject.tokenizer.eos_token_id or 0
    for name, baseline in (("counterfactual", other), ("end of sequence", [end] * len(ids))):
        for steps in STEPS:
            credit, seconds, cpu = _timed(
                lambda baseline=baseline, steps=steps: captum_credit(case(baseline), steps)
            )
            agrees = float(np.corrcoef(credit, ours.scores)[0, 1]) if baseline is other else None
            error = _error(case(baseline), credit)
            rows.append(
                IntegrationCost(f"captum, {steps} steps", name, error, seconds, cpu, agrees)
            )
    return rows


def captum_credit(case: AttributionTarget, steps: int) -> np.ndarray:
    """Each token's credit by captum's integrated gradients, with the Gauss-Legendre rule as in hubel."""
    attr: Any = import_module("captum.attr")

    def scalar(embeddings: Tensor) -> Tensor:
        return case.forward(embeddings)

    credit = attr.IntegratedGradients(scalar).attribute(
        case.embedding[None].clone(),
        case.baseline[None],
        n_steps=steps,
        method="gausslegendre",
        internal_batch_size=ROWS,
    )
    return credit.sum(-1)[0].detach().cpu().numpy()


def _error(case: AttributionTarget, credit: np.ndarray) -> float:
    import torch

    value, reference = case.values(torch.stack([case.embedding, case.baseline])).tolist()
    return abs(float(credit.sum()) - (value - reference)) / abs(value - reference)


def _timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """The result of `work`, its wall time and its CPU time on all threads, in seconds."""
    cpu_before, started = time.process_time(), time.perf_counter()
    result = work()
    return result, time.perf_counter() - started, time.process_time() - cpu_before
