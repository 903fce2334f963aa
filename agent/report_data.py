"""What a report shows, as plain data: filled in from a run log, rendered by `report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..evals.score import Score, Split, Text
from .false_keeps import FalseKeeps
from .heatmap import TokenMap


class TokenWeight(NamedTuple):
    """A token, and what the unit adds to its logit."""

    token: str
    weight: float


@dataclass(frozen=True)
class ExperimentReport:
    """A prediction and its outcome; fields as in the view ``experiments``."""

    relation: Literal["fires", "silent", "greater", "within", "raises", "lowers"]
    text: str
    span: tuple[int, int] | None = None
    """Characters of ``text`` that the prediction is about; None is all of it."""
    quantity: str = "max"
    side: str = "+"
    other: str | None = None
    """Text B of "greater"."""
    bounds: tuple[float, float] | None = None
    reason: str = ""
    observed: float | None = None
    compared: float | Sequence[float] | None = None
    """What the observed was held against: a threshold, B's value, or the bounds."""
    outcome: Literal["for", "against", "void"] = "void"


@dataclass(frozen=True)
class HypothesisReport:
    """A claim about the target and the experiments that were made on it."""

    id: str
    sentence: str
    predicate: str | None = None
    origin: str = ""
    parent: str | None = None
    r_explore: float | None = None
    r_select: float | None = None
    chosen: bool = False
    experiments: Sequence[ExperimentReport] = ()


@dataclass(frozen=True)
class TargetReport:
    """Everything that a page says about one target."""

    target: str
    side: str
    layer: int
    status: Literal["done", "failed", "pending"] = "done"
    kind: Literal["unit", "null", "control"] = "unit"
    explanation: str | None = None
    predicate: str | None = None
    verdict: str | None = None
    reason: str = ""
    """Why that verdict, or how it failed."""
    p: float | None = None
    scores: Sequence[Score] = ()
    over_trivial: tuple[float | None, float | None] | None = None
    """Interval of the paired difference to the best trivial prediction, which is called ``trivial``."""
    trivial: str = "trivial"
    active_documents: int | None = None
    positive: Sequence[TokenMap] = ()
    """Exemplars of the positive side, from explore, the strongest first."""
    negative: Sequence[TokenMap] = ()
    compared: Sequence[TokenMap] = ()
    """Contexts with predictions, from ``compared_split``."""
    compared_split: Split = "select"
    hypotheses: Sequence[HypothesisReport] = ()
    promoted: Sequence[TokenWeight] = ()
    suppressed: Sequence[TokenWeight] = ()
    statistics: Mapping[str, float] = field(default_factory=dict)

    def score(self, split: Split, text: Text = "random", scorer: str = "simulation") -> Score | None:
        """The target's score of that name, or None."""
        found = (s for s in self.scores if (s.scorer, s.split, s.text) == (scorer, split, text))
        return next(found, None)


@dataclass(frozen=True)
class RunReport:
    """What was run, with everything that is needed to run it again."""

    name: str
    subject: str
    """Its title, with where the weights are from ("SmolLM2-135M-Instruct, dequantised from Q4_1")."""
    subject_revision: str
    corpus: str
    corpus_revision: str
    explainer: str
    started: str = ""
    seeds: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further lines of the header: contexts a split, tokens, wall time, money."""
    false_keeps: Sequence[FalseKeeps] = ()
    """What runs of nulls in the same place say of this explainer."""


@dataclass(frozen=True)
class ReportData:
    """A run and its targets, in the order in which they were asked for."""

    run: RunReport
    targets: Sequence[TargetReport]
