"""Explains and scores neurons, heads and rotated directions of an index, without a run.

1. Draw the units and collect their activations (`units`).
2. Explain each unit as a run would (`agent.controls.explain_alone`), and some of them once more on
   either half of the explore documents. Formulas are cached under the code of the search.
3. Score the formulas on holdout (`figures`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from ...agent.controls.explain_alone import explain_alone
from ...agent.investigation.split_data import SplitData
from ...agent.runlog.config import target_seed
from ...agent.runlog.lexicon import subject_lexicon
from ...agent.runlog.run_subject import weights_of
from ...tools.correlation import pearson
from ...tools.dissection import Predicate, TextView
from ...tools.dissection.search import shared_candidates
from ...tools.files.code_digest import code_digest
from ...tools.index import Collected
from ...tools.index.holdout import open_collected_holdout
from ..result_cache import ResultCache
from .figures import Figures, HeldOutText, figures_of
from .units import DrawnUnits, Kind, MeasuredUnit

if TYPE_CHECKING:
    from ...agent.explainers.protocol import Explainer, TargetData
    from ...agent.runlog.progress import Reporter
    from ...tools.dissection.candidates import CandidateMatrix
    from ...tools.subject.address import Unit

ROOT = Path(__file__).parents[2]
SEARCH_CODE = ("tools/dissection", "tools/annotation", "tools/lexica", "agent/explainers")
"""Folders of the code that formulas depend on; figures depend on `evals` as well."""


@dataclass(frozen=True)
class ExplanationRow:
    """One unit's explanation and its figures on holdout; None where there is nothing to measure.

    Attributes:
        seconds: CPU time of the search, without what all targets share.
        half_r: correlation on holdout of the formulas that two halves of the documents give.
        half_shared: Jaccard index of their named concepts.
    """

    target: str
    kind: Kind
    layer: int
    sentence: str | None
    predicate: str | None
    origin: str | None
    seconds: float
    figures: Figures
    half_r: float | None = None
    half_shared: float | None = None

    @property
    def formula(self) -> Predicate:
        """The formula; one without terms if there is none."""
        return Predicate.parse(self.predicate) if self.predicate else Predicate()

    def to_json(self) -> dict[str, Any]:
        """A line of `--json`."""
        row = asdict(self)
        return row | row.pop("figures")


class ExplanationBench:
    """What is shared by the units of one draw."""

    def __init__(self, drawn: DrawnUnits, reporter: Reporter) -> None:
        self.drawn, self.reporter = drawn, reporter
        code = [ROOT / folder for folder in SEARCH_CODE]
        self._formulas = ResultCache("explanations", code_digest(*code))
        self._figures = ResultCache("explanations", code_digest(*code, ROOT / "evals"))
        self._caches: list[dict[str, Any]] = [{}, {}, {}]
        """Of all of explore, and of its two halves: what targets share of a search."""
        self._is_warm: set[int | None] = set()
        """The parts of explore for which what all targets share is built."""

    def rows(self, explainer: Explainer, label: str = "") -> Iterator[ExplanationRow]:
        """A row for each unit, as it is measured.

        Args:
            label: what differs from the explainer of that name.
        """
        units = self.drawn.units
        for number, measured in enumerate(units):
            self.reporter.update("explain", number, len(units), unit="units", note=label)
            yield self.row(explainer, measured, label)
        self.reporter.update("explain", len(units), len(units), unit="units", note=label)

    def row(self, explainer: Explainer, measured: MeasuredUnit, label: str = "") -> ExplanationRow:
        """One unit's row."""
        unit, kind, in_halves = measured
        whole = self._explained(explainer, unit, None, label)
        row = ExplanationRow(
            str(unit),
            kind,
            unit.layer,
            whole["sentence"],
            whole["predicate"],
            whole["origin"],
            whole["seconds"],
            self._figures_of(unit, _predicate(whole)),
        )
        if not in_halves:
            return row
        halves = [self._explained(explainer, unit, half, label) for half in (0, 1)]
        first, second = map(_predicate, halves)
        agreement = pearson(self.text.predicted(first), self.text.predicted(second))
        return replace(row, half_r=agreement, half_shared=_shared(first, second))

    def _figures_of(self, unit: Unit, predicate: Predicate) -> Figures:
        seed = self.drawn.draw.seed

        def measure() -> dict[str, Any]:
            return dict(figures_of(self.text, unit, predicate, target_seed(seed, str(unit))))

        key = (*self.drawn.identity, seed, unit, predicate.to_text())
        return self._figures.get_or_make(measure, *key)

    @cached_property
    def _folder(self) -> Path:
        return self.drawn.collect(self.reporter)

    @cached_property
    def data(self) -> SplitData:
        """Explore and select."""
        explore, select = (Collected.open(self._folder, split) for split in ("explore", "select"))
        subject = self.drawn.subject
        revision = weights_of(subject.revision)
        lexicon = subject_lexicon(lambda: subject, revision, self.reporter.say)
        return SplitData(explore, select, lexicon, self._caches[0])

    @cached_property
    def text(self) -> HeldOutText:
        """Explore and holdout."""
        holdout = open_collected_holdout(self._folder)
        return HeldOutText(self.data.collected("explore"), holdout, self.data.lexicon)

    @cached_property
    def candidates(self) -> CandidateMatrix:
        """The concepts that the search chooses from, over explore."""
        explore = self.data.collected("explore")
        # An explainer sees near-duplicates as one document.
        return shared_candidates(
            explore.tokens,
            explore.length,
            explore.group,
            explore.mask,
            self.data.lexicon,
            self.drawn.draw.seed,
            self._caches[0],
        )

    @cached_property
    def _select_text(self) -> TextView:
        select = self.data.collected("select")
        return TextView(select.tokens, select.length, self.data.lexicon)

    def _explained(
        self, explainer: Explainer, unit: Unit, half: int | None, label: str
    ) -> dict[str, Any]:
        """The winner on all of explore or on one half of its documents, from the cache if it is there."""

        def explain() -> dict[str, Any]:
            parts = (unit, self._explore_data(unit, half), self.data.of(unit, "select"))
            if half not in self._is_warm:  # builds what all targets share
                explain_alone(explainer, *parts, self._select_text, seed)
                self._is_warm.add(half)
            begun = time.process_time()
            winner = explain_alone(explainer, *parts, self._select_text, seed)
            seconds = round(time.process_time() - begun, 3)
            fields = ("sentence", "predicate", "origin")
            return {name: getattr(winner, name, None) for name in fields} | {"seconds": seconds}

        seed = self.drawn.draw.seed
        identity = (*self.drawn.identity, explainer.name, explainer.version, label, seed)
        return self._formulas.get_or_make(explain, *identity, unit, half)

    def _explore_data(self, unit: Unit, half: int | None) -> TargetData:
        data = self.data.of(unit, "explore")
        if half is None:
            return data
        chosen = np.flatnonzero(self.half_of_context == half)
        fields = ("tokens", "length", "document", "mask", "signal")
        parts = {name: getattr(data, name)[chosen] for name in fields}
        return replace(data, **parts, cache=self._caches[1 + half])

    @cached_property
    def half_of_context(self) -> Int[np.ndarray, " context"]:
        """0 or 1 for each context of explore; near-duplicate documents are in one half."""
        groups, index = np.unique(self.data.collected("explore").group, return_inverse=True)
        order = np.random.default_rng([self.drawn.draw.seed, 2]).permutation(len(groups))
        return (order % 2)[index]


def _predicate(explained: dict[str, Any]) -> Predicate:
    return Predicate.parse(explained["predicate"]) if explained["predicate"] else Predicate()


def _shared(first: Predicate, second: Predicate) -> float | None:
    """Jaccard index of the named concepts of two formulas; None if neither has any."""
    concepts = [{term.concept for term in p.meaning().terms} for p in (first, second)]
    union = concepts[0] | concepts[1]
    return len(concepts[0] & concepts[1]) / len(union) if union else None
