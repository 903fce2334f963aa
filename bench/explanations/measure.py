"""Collects, explains and scores neurons, heads and rotated directions of an index, without a run.

1. UnitDraw the units: neurons of each layer and heads of all layers at random, and rows of a random
   rotation of each layer (`tools.subject.nulls`).
2. Collect their activations, once for each draw; from the index's activation store if it has one.
3. Explain each unit as a run would (`agent.controls.explain_alone`), and some of them once more on
   either half of the explore documents. Formulas are cached under the code of the search.
4. Score the formulas on holdout (`figures`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from ...agent.controls.explain_alone import explain_alone
from ...agent.explainers import make_explainer
from ...agent.explainers.protocol import TargetData
from ...agent.investigation.split_data import SplitData
from ...agent.runlog.config import RunConfig
from ...agent.runlog.lexicon import subject_lexicon
from ...agent.runlog.progress import Reporter
from ...agent.runlog.run_subject import weights_of
from ...tools.correlation import pearson
from ...tools.dissection import Predicate, TextView
from ...tools.files import cache_dir
from ...tools.files.code_digest import code_digest
from ...tools.index import Collected, Index, collect
from ...tools.index.holdout import open_collected_holdout
from ...tools.subject import Subject
from ...tools.subject.address import Site, Unit, parse_targets
from ...tools.subject.nulls import RotatedUnit, rotated_units
from ..result_cache import ResultCache
from .figures import HeldOutText, figures_of

ROOT = Path(__file__).parents[2]
SEARCH_CODE = (ROOT / "tools" / "dissection", ROOT / "agent" / "explainers")
"""What formulas depend on, besides the activations."""
Kind = Literal["neuron", "head", "rotated"]


@dataclass(frozen=True)
class UnitDraw:
    """Which units are measured.

    Attributes:
        neurons: of each layer; rotated: directions of each layer; heads: of all layers together.
        halves: units of each layer and kind that are explained on two halves as well.
    """

    layers: tuple[int, ...]
    neurons: int = 50
    heads: int = 24
    rotated: int = 25
    halves: int = 6
    seed: int = 7


class MeasuredUnit(NamedTuple):
    """A unit, and whether it is also explained on two halves of the documents."""

    unit: Unit
    kind: Kind
    in_halves: bool


@dataclass(frozen=True)
class ExplanationRow:
    """One unit's explanation and its figures on holdout; None where there is nothing to measure.

    Attributes:
        seconds: CPU time of the search, without what all targets share.
        half_r: correlation on holdout of the formulas that two halves of the documents give.
        half_shared: Jaccard index of their concepts.
    """

    target: str
    kind: Kind
    layer: int
    sentence: str | None
    predicate: str | None
    origin: str | None
    seconds: float
    figures: dict[str, float | None]
    half_r: float | None = None
    half_shared: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A line of `--json`."""
        row = asdict(self)
        return row | row.pop("figures")


class ExplanationBench:
    """Everything that is shared by the units of one draw.

    Args:
        explainer: name of an explainer that needs no language model.
    """

    def __init__(
        self,
        subject: Subject,
        index: Index,
        draw: UnitDraw,
        explainer: str,
        reporter: Reporter,
    ) -> None:
        self._subject, self._index, self._draw, self._reporter = subject, index, draw, reporter
        self._explainer = make_explainer(explainer, RunConfig(str(index.path), [], seed=draw.seed))
        self._results = ResultCache("explanations", code_digest(*SEARCH_CODE))
        self._caches: list[dict[str, Any]] = [{}, {}, {}]
        """Of all of explore, and of its two halves: what targets share of a search."""
        self._warm = False

    def rows(self) -> Iterator[ExplanationRow]:
        """A row for each unit, as it is measured."""
        units = self._units()
        self._collect([unit for unit, _, _ in units])
        for number, measured in enumerate(units):
            self._reporter.update("explain", number, len(units), unit="units")
            yield self._row(measured)
        self._reporter.update("explain", len(units), len(units), unit="units")

    def _units(self) -> list[MeasuredUnit]:
        draw, shape = self._draw, self._subject.shape
        groups: list[tuple[Kind, list[Unit]]] = []
        for layer in draw.layers:
            count = shape.count(Site("mlp", layer))
            if draw.neurons:
                spec = f"mlp.{layer}~{min(draw.neurons, count)}@{draw.seed}"
                groups.append(("neuron", parse_targets(spec, shape)))
            turned = [Unit("mlp", layer, count + i) for i in range(draw.rotated)]
            groups.append(("rotated", turned))
        if draw.heads:
            groups.append(("head", parse_targets(f"head.*~{draw.heads}@{draw.seed}", shape)))
        return [
            MeasuredUnit(unit, kind, number < draw.halves)
            for kind, units in groups
            for number, unit in enumerate(units)
        ]

    def _collect(self, units: list[Unit]) -> None:
        real = [unit for unit in units if unit.index < self._subject.shape.count(unit.place)]
        by_layer = {layer: [u for u in units if u not in real and u.layer == layer]
                    for layer in self._draw.layers}  # fmt: skip
        turned: list[RotatedUnit] = []
        for layer_units in by_layer.values():
            if layer_units:
                turned += rotated_units(self._subject, layer_units, seed=self._draw.seed)
        collect(
            self._subject,
            self._index,
            real,
            self._folder,
            extra=turned,
            progress=self._reporter,
            say=self._reporter.say,
        )

    @cached_property
    def _folder(self) -> Path:
        parts = (*self._identity, self._draw)
        name = hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]
        return cache_dir() / "bench" / "explanations" / f"activations-{name}"

    @property
    def _identity(self) -> tuple[str, ...]:
        """What activations depend on."""
        index = self._index
        return (index.subject_revision, index.corpus_sha256, index.contexts_sha256, index.salt)

    @cached_property
    def _data(self) -> SplitData:
        explore, select = (Collected.open(self._folder, s) for s in ("explore", "select"))
        revision = weights_of(self._subject.revision)
        lexicon = subject_lexicon(lambda: self._subject, revision, self._reporter.say)
        return SplitData(explore, select, lexicon, self._caches[0])

    @cached_property
    def _text(self) -> HeldOutText:
        holdout = open_collected_holdout(self._folder)
        return HeldOutText(self._data.collected("explore"), holdout, self._data.lexicon)

    @cached_property
    def _select_text(self) -> TextView:
        select = self._data.collected("select")
        return TextView(select.tokens, select.length, self._data.lexicon)

    def _row(self, measured: MeasuredUnit) -> ExplanationRow:
        unit, kind, in_halves = measured
        whole = self._explained(unit, None)
        row = ExplanationRow(
            str(unit), kind, unit.layer, whole["sentence"], whole["predicate"], whole["origin"],
            whole["seconds"], figures_of(self._text, unit, _predicate(whole)),
        )  # fmt: skip
        if not in_halves:
            return row
        first, second = (_predicate(self._explained(unit, half)) for half in (0, 1))
        agreement = pearson(self._text.predicted(first), self._text.predicted(second))
        return replace(row, half_r=agreement, half_shared=_shared(first, second))

    def _explained(self, unit: Unit, half: int | None) -> dict[str, Any]:
        """The winner on all of explore or on one half of its documents, from the cache if it is there."""

        def explain() -> dict[str, Any]:
            explore = self._explore_data(unit, half)
            if not self._warm:  # builds what all targets share
                explain_alone(self._explainer, unit, explore, select, self._select_text, seed)
            begun = time.process_time()
            winner = explain_alone(self._explainer, unit, explore, select, self._select_text, seed)
            seconds = round(time.process_time() - begun, 3)
            self._warm = True
            fields = ("sentence", "predicate", "origin")
            return {name: getattr(winner, name, None) for name in fields} | {"seconds": seconds}

        seed, select = self._draw.seed, self._data.of(unit, "select")
        identity = (self._explainer.name, self._explainer.version, seed)
        return self._results.get_or_make(explain, *self._identity, *identity, unit, half)

    def _explore_data(self, unit: Unit, half: int | None) -> TargetData:
        data = self._data.of(unit, "explore")
        if half is None:
            return data
        chosen = np.flatnonzero(self._half_of_context == half)
        fields = ("tokens", "length", "document", "mask", "signal")
        parts = {name: getattr(data, name)[chosen] for name in fields}
        return replace(data, **parts, cache=self._caches[1 + half])

    @cached_property
    def _half_of_context(self) -> Int[np.ndarray, " context"]:
        """0 or 1 for each context of explore; near-duplicate documents are in one half."""
        groups, index = np.unique(self._data.collected("explore").group, return_inverse=True)
        order = np.random.default_rng([self._draw.seed, 2]).permutation(len(groups))
        return (order % 2)[index]


def _predicate(explained: dict[str, Any]) -> Predicate:
    return Predicate.parse(explained["predicate"]) if explained["predicate"] else Predicate()


def _shared(first: Predicate, second: Predicate) -> float | None:
    """Jaccard index of the concepts of two formulas; None if neither has any."""
    concepts = [{term.concept for term in predicate.terms} for predicate in (first, second)]
    union = concepts[0] | concepts[1]
    return len(concepts[0] & concepts[1]) / len(union) if union else None
