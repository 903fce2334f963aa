"""Integrated gradients of a prompt of 32 tokens, here and by captum, in one process: their cost,
their error.

A path's credit has to add up to f(prompt) - f(baseline), so that the error of each is known without
the other. Ours goes on until it is under 1 %; captum takes the steps that it is given, its own
default of 50 among them.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from ..tools.attribution.target import AttributionTarget
    from ..tools.subject import Subject


class PromptCase(NamedTuple):
    """A prompt, a counterfactual of as many tokens, and the two next tokens whose logits are compared."""

    text: str
    twin: str
    answer: str
    foil: str


_TEXT = (
    "Yesterday afternoon, after a day at work, Mary and John went to the store with some friends from school, and "
    "then John gave a drink of water to"
)
QUESTION = PromptCase(_TEXT, _TEXT.replace("then John", "then Mary"), " Mary", " John")
STEPS = (20, 50)
"""Of captum: as few as our first attempt takes, and its own default."""
ROWS = 8
"""Rows of captum's passes: one at a time, its default, takes three times as long here."""


class IntegrationCost(NamedTuple):
    """One way to integrate gradients.

    Attributes:
        error: |credit - what it should add up to|, as a share of the latter.
        seconds: wall time; `cpu_seconds` of all threads.
        agrees: correlation of the tokens' credit with ours, for the same baseline; None for ours.
    """

    way: str
    baseline: str
    error: float
    seconds: float
    cpu_seconds: float
    agrees: float | None


def attribution_speed(subject: Subject, question: PromptCase = QUESTION) -> list[IntegrationCost]:
    """Ours first; captum where it is installed (`pip install hubel[oracles]`)."""
    from ..tools.attribution.integrated import integrated_gradients
    from ..tools.attribution.target import Logits, make_target

    ids, other, answer, foil = (subject.tokenize(each).ids for each in question)

    def case(baseline: list[int]) -> AttributionTarget:
        return make_target(subject, Logits(tuple(answer), tuple(foil)), ids, baseline)

    integrated_gradients(case(other))  # the first of a process also loads code
    found, seconds, cpu = _timed(lambda: integrated_gradients(case(other)))
    assert found.error is not None  # of integrated gradients it is always known
    rows = [IntegrationCost("hubel", "counterfactual", found.error, seconds, cpu, None)]
    if find_spec("captum") is None:
        return rows
    end = subject.tokenizer.eos_token_id or 0
    for baseline, given in (("counterfactual", other), ("end of sequence", [end] * len(ids))):
        for steps in STEPS:
            credit, seconds, cpu = _timed(
                lambda given=given, steps=steps: captum_credit(case(given), steps)
            )
            agrees = float(np.corrcoef(credit, found.scores)[0, 1]) if given is other else None
            error = _error(case(given), credit)
            rows.append(
                IntegrationCost(f"captum, {steps} steps", baseline, error, seconds, cpu, agrees)
            )
    return rows


def captum_credit(case: AttributionTarget, steps: int) -> np.ndarray:
    """Each token's credit by captum's integrated gradients, with Gauss and Legendre's rule as ours has."""
    attr: Any = import_module("captum.attr")

    def scalar(embeddings: Tensor) -> Tensor:
        return case.forward(embeddings)

    x, baseline = case.embedding[None], case.baseline[None]
    found = attr.IntegratedGradients(scalar).attribute(
        x.clone(), baseline, n_steps=steps, method="gausslegendre", internal_batch_size=ROWS
    )
    return found.sum(-1)[0].detach().cpu().numpy()


def _error(case: AttributionTarget, credit: np.ndarray) -> float:
    import torch

    value, reference = case.values(torch.stack([case.embedding, case.baseline])).tolist()
    return abs(float(credit.sum()) - (value - reference)) / abs(value - reference)


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What some work gives, its wall time and its CPU time on all threads."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = work()
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - started
    return found, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
