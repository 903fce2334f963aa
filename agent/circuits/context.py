"""What the steps of a circuit investigation share: journaled measurements, and the subject.

Everything that a step learns about the subject comes through here. So a run that was killed
measures nothing twice, and a replay needs no subject at all: it is loaded when the first
measurement is missing from the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...tools.circuits.ablation import Ablation
from ...tools.circuits.exchange.foreign_circuit import FittedCircuit
from ...tools.circuits.graph import Edge, Graph, Mask, Node, Target
from ...tools.circuits.head_observations import HeadObservation
from ...tools.circuits.methods import find_method
from ...tools.circuits.tasks import Task, find_task
from ...tools.circuits.tasks.logit_differences import LogitDifferences
from ...tools.circuits.tasks.prepared import DRAWS_PER_PROMPT
from ...tools.circuits.tasks.task import Example, draw_examples
from ...tools.errors import UsageError
from ..runlog.log import RunLog
from ..runlog.progress import Reporter
from .config import CircuitConfig
from .imported import read_imported
from .journal import MeasurementJournal
from .measurements import (
    BatchMeasurement,
    CircuitMetric,
    EdgeMoves,
    EdgeScores,
    InterchangedNodes,
    LogitDifferenceReadings,
    Measurement,
    ObservedNodes,
    PatchedEdges,
    PatchedNodes,
    PatchedPaths,
    batches_of,
    pack_mask,
)
from .prompts import PromptSet, prompts_from_json
from .subject_questions import (
    PreparePrompts,
    ReadFacts,
    ReadLexicon,
    SubjectFacts,
    SubjectQuestion,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...tools.circuits.circuit_model import CircuitModel
    from ..llm.conversation import Reply, Request
    from ..llm.journaled_model import JournaledModel, ReplayModel
    from .measure_on_engine import EngineMeasurements

MetricValues = Float[np.ndarray, " prompts"]
LOG_TARGET = "circuit"
"""Names this investigation in the log, where other runs name a target."""


class TaskFacts(TypedDict):
    """What the log says about the task, which may come from a file that a replay cannot read."""

    name: str
    summary: str


@dataclass
class CircuitContext:
    """One run's configuration, log, measurements and models."""

    folder: Path
    config: CircuitConfig
    log: RunLog
    journal: MeasurementJournal
    load: Callable[[], CircuitModel]
    """Loads the subject; called once, when something must be measured."""
    reporter: Reporter = field(default_factory=Reporter)
    remote: EngineMeasurements | None = None
    """Measures on the workers of an engine; None: this process measures."""
    open_model: Callable[[], JournaledModel | ReplayModel] | None = None
    """Opens the language model that names roles; called once, when it is needed."""

    def ask(self, request: Request) -> Reply:
        """The reply to a request, from the journal or paid for now; raises BudgetReached."""
        if self._language_model is None:
            raise UsageError("this run has no language model; this is a defect of the loop")
        return self._language_model.ask(LOG_TARGET, request).reply

    @cached_property
    def _language_model(self) -> JournaledModel | ReplayModel | None:
        return self.open_model and self.open_model()

    @cached_property
    def model(self) -> CircuitModel:
        """The subject as a graph."""
        return self.load()

    @cached_property
    def task(self) -> Task:
        """The configured task: a built-in one, or a user's file of prompt pairs."""
        return find_task(self.config.task)

    @cached_property
    def task_facts(self) -> TaskFacts:
        """Name and summary of the task."""
        request = {"what": "task", "task": self.config.task}
        return self.journal.measured(
            request, lambda: TaskFacts(name=self.task.name, summary=self.task.summary)
        )

    @cached_property
    def subject_facts(self) -> SubjectFacts:
        """Name, revision and shape of the subject."""

        return self.journal.measured({"what": "subject"}, lambda: self._ask(ReadFacts()))

    @cached_property
    def graph(self) -> Graph:
        """The subject's nodes and edges."""
        return Graph(**self.subject_facts["graph"])

    @cached_property
    def imported(self) -> FittedCircuit:
        """The circuit that this run tests, where it was found by another program."""
        return read_imported(self.folder, self.config, self.graph)

    def discovery_prompts(self) -> PromptSet:
        """The prompts that rank edges."""

        def draw(words: Sequence[str]) -> Iterable[Example]:
            return draw_examples(self.task, "discovery", self.config.seed, words)

        return self.prompts("discovery", self.config.discovery, draw)

    def prompts(
        self,
        part: Literal["discovery", "heldout"],
        n: int,
        examples: Callable[[Sequence[str]], Iterable[Example]],
    ) -> PromptSet:
        """The first n examples that suit the subject.

        Args:
            examples: draws them, given the subject's words of one token; not called in a replay.
        """

        def draw() -> Any:
            drawn = islice(examples(self._ask(ReadLexicon())), DRAWS_PER_PROMPT * n)
            return self._ask(PreparePrompts.of(self.task, drawn, n))

        request = {"what": "prompts", "part": part, "n": n, "seed": self.config.seed}
        return prompts_from_json(part, self.journal.measured(request, draw))

    def _ask(self, question: SubjectQuestion) -> Any:
        """What the subject says, here or on a worker."""
        return question.answer(self.model) if self.remote is None else self.remote.ask(question)

    def ahead(self, *wanted: tuple[PromptSet, Measurement]) -> None:
        """Have an engine's workers measure side by side what will be asked for one by one.

        The journal has it later, when it is asked for, so the log is that of one process. Without an
        engine this does nothing.
        """
        if self.remote is not None:
            parts = chain.from_iterable(batches_of(*each) for each in wanted)
            self.remote.make([part for part in parts if not self.journal.holds(part.request)])

    # Measurements with one number per prompt.

    def logit_differences(self, prompts: PromptSet) -> LogitDifferences:
        """The whole subject's logit differences, on clean and on corrupted prompts."""
        batches = self._each_batch(prompts, LogitDifferenceReadings())
        # From one triple per batch to one array per field, over all prompts.
        clean, corrupted, top = (np.concatenate(column) for column in zip(*batches, strict=True))
        return LogitDifferences(clean, corrupted, top.astype(bool))

    def circuit_metric(
        self, prompts: PromptSet, mask: Mask, ablation: Ablation = "resample"
    ) -> MetricValues:
        """Each prompt's logit difference when only the mask's edges carry the clean prompt."""
        return np.concatenate(self._each_batch(prompts, CircuitMetric.of(mask, ablation)))

    def node_effects(
        self, prompts: PromptSet, nodes: Sequence[Node]
    ) -> Float[np.ndarray, "node prompts"]:
        """Exact effects of patching whole heads and MLPs from the corrupted prompts."""
        return self._rows(prompts, PatchedNodes(tuple(nodes)), len(nodes))

    def edge_effects(
        self, prompts: PromptSet, edges: Sequence[Edge]
    ) -> Float[np.ndarray, "edge prompts"]:
        """Exact effects of patching single edges from the corrupted prompts."""
        return self._rows(prompts, PatchedEdges(tuple(edges)), len(edges))

    def interchange_effects(
        self, prompts: PromptSet, swaps: Sequence[tuple[Node, Node]]
    ) -> Float[np.ndarray, "swap prompts"]:
        """Effects of each first component writing what the second one writes."""
        return self._rows(prompts, InterchangedNodes(tuple(swaps)), len(swaps))

    def path_effects(
        self, prompts: PromptSet, senders: Sequence[Node], receivers: Sequence[Target]
    ) -> Float[np.ndarray, "sender prompts"]:
        """Effect of each sender over its direct paths to all receivers together.

        It is 0 for a sender after the last receiver: no path leads back.
        """
        effects = np.zeros((len(senders), len(prompts)))
        paths = self.paths(senders, receivers)
        if paths.senders:
            early = [i for i, sender in enumerate(senders) if sender in paths.senders]
            effects[early] = self._rows(prompts, paths, len(early))
        return effects

    def paths(self, senders: Sequence[Node], receivers: Sequence[Target]) -> PatchedPaths:
        """The paths of those senders that come before the last receiver."""
        graph = self.graph
        last = max((graph.n_sources_before(receiver) for receiver in receivers), default=0)
        early = tuple(sender for sender in senders if graph.sources.index(sender) < last)
        return PatchedPaths(early, tuple(receivers))

    def observations(self, prompts: PromptSet, nodes: Sequence[Node]) -> list[HeadObservation]:
        """What heads attend to and what they write, on all prompts; the attention pattern is the first one's."""
        batches = self._each_batch(prompts, ObservedNodes(tuple(nodes)))
        by_node = ([HeadObservation(**batch[i]) for batch in batches] for i in range(len(nodes)))
        return [_concatenate(parts) for parts in by_node]

    # Measurements with one number per edge and prompt.

    def edge_scores(self, prompts: PromptSet) -> Float[Tensor, "pairs source target"]:
        """Every edge's estimated effect on every prompt, by the run's method."""
        method, steps = self.config.method, self.config.steps
        if cost := find_method(method).cost:
            self.reporter.say(f"{method}: {cost}")
        return self._edge_arrays("rank edges", prompts, EdgeScores(method, steps))

    def move_effects(self, prompts: PromptSet, mask: Mask) -> Float[Tensor, "pairs source target"]:
        """What each edge does when it alone is put into a circuit, or taken out of it."""
        return self._edge_arrays("reconsider edges", prompts, EdgeMoves(pack_mask(mask)))

    def _edge_arrays(
        self, title: str, prompts: PromptSet, measurement: Measurement
    ) -> Float[Tensor, "pairs source target"]:
        """A number for every edge and prompt, measured for a few prompts at a time."""
        self.ahead((prompts, measurement))
        parts = list(batches_of(prompts, measurement))
        arrays: list[np.ndarray] = []
        for done, part in enumerate(parts):
            self.reporter.update(title, done, len(parts), unit="batches")
            arrays.append(self._value(part))
        self.reporter.update(title, len(parts), len(parts), unit="batches")
        flat = torch.from_numpy(np.concatenate(arrays))
        full = flat.new_zeros(len(flat), *self.graph.all_edges.shape)
        full[:, self.graph.all_edges] = flat
        return full

    def _rows(
        self, prompts: PromptSet, measurement: Measurement, n: int
    ) -> Float[np.ndarray, "unit prompts"]:
        """A measurement of n units with a row for each."""
        batches = self._each_batch(prompts, measurement)
        return np.concatenate([np.asarray(b).reshape(n, -1) for b in batches], axis=1)

    def _each_batch(self, prompts: PromptSet, measurement: Measurement) -> list[Any]:
        self.ahead((prompts, measurement))
        return [self._value(part) for part in batches_of(prompts, measurement)]

    def _value(self, part: BatchMeasurement) -> Any:
        """From the journal, or measured now, or by a worker before."""
        remote = self.remote

        def measure() -> Any:
            return part.measure(self.model) if remote is None else remote.read(part)

        of_edges = part.measurement.of_edges
        value = (self.journal.array if of_edges else self.journal.measured)(part.request, measure)
        if remote is not None:
            remote.remove(part)
        return value


def _concatenate(parts: Sequence[HeadObservation]) -> HeadObservation:
    """Join one node's observations on several batches; attention only where all of them have it."""
    first = parts[0]
    shared = [name for name in first.attention if all(name in part.attention for part in parts)]
    attention = {
        name: list(chain.from_iterable(part.attention[name] for part in parts)) for name in shared
    }
    return HeadObservation(
        attention=attention,
        direct=list(chain.from_iterable(part.direct for part in parts)),
        copies=list(chain.from_iterable(part.copies for part in parts)),
        pattern=first.pattern,
        writes=first.writes,
    )
