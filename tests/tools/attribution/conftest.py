"""Tiny subjects in double precision and a prompt with its counterfactual."""

from __future__ import annotations

from typing import Any

from hubel.tools.attribution.target import AttributionTarget, Logits, Scalar, make_target
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_subject

PROMPT, TWIN = [17, 40, 93, 200, 31, 77, 58], [17, 41, 12, 200, 32, 80, 59]
"""Five of seven tokens differ."""


def double_subject(model_type: str = "llama", seed: int = 0, **options: Any) -> Subject:
    """Doubles, so that sums hold to many digits (norms of these families compute in singles whatever comes in)."""
    subject = tiny_subject(model_type, seed, **options)
    subject.model.double()
    return subject


def case_of(subject: Subject, scalar: Scalar | None = None, **options: Any) -> AttributionTarget:
    """The prompt against its twin, about a logit difference."""
    return make_target(subject, scalar or Logits((5,), (6,)), PROMPT, TWIN, **options)


def n_hooks(subject: Subject) -> int:
    """Hooks on all modules of a subject."""
    modules: list[Any] = list(subject.model.modules())
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)
