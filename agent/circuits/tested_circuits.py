"""The circuits that run on held-out prompts: of other sizes, random ones, and what is left without the circuit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Literal, NamedTuple, get_args

from ...evals.statistics.faithfulness import SIZES
from ...tools.circuits.ablation import Ablation
from ...tools.circuits.discovery import node_level_circuit, random_circuit, top_edges
from ...tools.circuits.graph import Graph, Mask
from .choose_circuit import ChosenCircuit
from .measurements import CircuitMetric, LogitDifferenceReadings, Measurement
from .observe import edge_sources
from .prompts import PromptSet

CURVE_PROMPTS = 24
"""Held-out prompts of the curve's ten sizes; at the chosen size all are used."""
PANEL_PROMPTS = 12
"""Held-out prompts of the panel of ablations, which takes twelve runs of each."""
RANDOM_PROMPTS = 8
"""Held-out prompts of the random circuits at each size; at the chosen size all are used."""

Level = Literal["edge", "node"]


class SizedCircuits(NamedTuple):
    """Circuits of one size; `ranked` has the strongest edges."""

    share: float
    n_edges: int
    ranked: Mask
    random: Mask


class TestedCircuits(NamedTuple):
    """Every circuit that is tested.

    Attributes:
        sizes: the points of the curve, without the whole model.
        random: of as many edges as the chosen one.
        by_level: the chosen circuit, and all edges between its nodes.
    """

    __test__ = False  # no class of tests

    all_edges: Mask
    sizes: list[SizedCircuits]
    chosen: Mask
    random: Mask
    by_level: dict[Level, Mask]

    @classmethod
    def of(cls, graph: Graph, choice: ChosenCircuit, seed: int) -> TestedCircuits:
        """Those of a choice."""
        sizes = [(share, max(1, round(share * graph.n_edges))) for share in SIZES if share < 1]
        sources = edge_sources(graph.edges_of(choice.mask))
        return cls(
            graph.all_edges,
            [
                SizedCircuits(
                    share, n, top_edges(graph, choice.ranking, n), random_circuit(graph, n, seed)
                )
                for share, n in sizes
            ],
            choice.mask,
            random_circuit(graph, choice.n_edges, seed),
            {"edge": choice.mask, "node": node_level_circuit(graph, sources)},
        )

    def without(self, mask: Mask) -> Mask:
        """All edges but these."""
        return self.all_edges & ~mask


class TestPrompts(NamedTuple):
    """Held-out prompts, and the first ones of them for runs of many circuits."""

    __test__ = False  # no class of tests

    all: PromptSet
    curve: PromptSet
    random: PromptSet
    panel: PromptSet

    @classmethod
    def of(cls, prompts: PromptSet) -> TestPrompts:
        """The parts of these."""
        sizes = (CURVE_PROMPTS, RANDOM_PROMPTS, PANEL_PROMPTS)
        return cls(prompts, *map(prompts.subset, sizes))


def circuit_runs(
    circuits: TestedCircuits, prompts: TestPrompts
) -> Iterator[tuple[PromptSet, Measurement]]:
    """Every run that tests a circuit."""
    for part in prompts:
        yield part, LogitDifferenceReadings()
    for size in circuits.sizes:
        yield prompts.curve, CircuitMetric.of(size.ranked)
        yield prompts.random, CircuitMetric.of(size.random)
    for mask in (circuits.chosen, circuits.random, circuits.without(circuits.chosen)):
        yield prompts.all, CircuitMetric.of(mask)
    for ablation in get_args(Ablation):
        if ablation != "resample":  # nothing kept is then the twin, whose readings there are
            yield prompts.panel, CircuitMetric.of(circuits.all_edges & False, ablation)
    for ablation, mask in product(get_args(Ablation), circuits.by_level.values()):
        yield prompts.panel, CircuitMetric.of(mask, ablation)
        yield prompts.panel, CircuitMetric.of(circuits.without(mask), ablation)
