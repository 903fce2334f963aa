"""What the steps of a circuit investigation share: journaled measurements, and the subject.

Everything that a step learns about the subject comes through here. So a run that was killed
measures nothing twice, and a replay needs no subject at all: it is loaded when the first
measurement is missing from the journal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...tools.circuits.ablation import Ablation, run_circuit
from ...tools.circuits.exchange.foreign_circuit import FittedCircuit
from ...tools.circuits.graph import Edge, Graph, Mask, Node, Target
from ...tools.circuits.head_observations import HeadObservation, HeadObserver, positions_of
from ...tools.circuits.methods import edge_effects, find_method
from ...tools.circuits.path_patching import path_patch
from ...tools.circuits.swap_edges import move_effects
from ...tools.circuits.sweep import Sweep
from ...tools.circuits.tasks import Task, find_task
from ...tools.circuits.tasks.logit_differences import LogitDifferences, measure_logit_differences
from ...tools.circuits.tasks.prepared import lexicon, prepare
from ...tools.circuits.tasks.task import Example, draw_examples
from ...tools.errors import UsageError
from ..runlog.log import RunLog
from ..runlog.progress import Reporter
from .config import CircuitConfig
from .imported import read_imported
from .journal import MeasurementJournal
from .prompts import PromptSet, prompts_from_json, prompts_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...tools.circuits.circuit_model import CircuitModel
    from ...tools.circuits.prompts import PromptPairs
    from ..llm.conversation import Reply, Request
    from ..llm.journaled_model import JournaledModel, ReplayModel

MetricValues = Float[np.ndarray, " prompts"]
LOG_TARGET = "circuit"
"""Names this investigation in the log, where other runs name a target."""
ATTRIBUTED_TOKENS = 96
"""Tokens of clean prompts attributed at once: 0.4 GB on top of the default subject (`tools/circuits/memory`)."""


class TaskFacts(TypedDict):
    """What the log says about the task, which may come from a file that a replay cannot read."""

    name: str
    summary: str


class SubjectFacts(TypedDict):
    """What the log says about the subject, so that it can be read without it.

    Attributes:
        graph: the arguments of `Graph`.
    """

    name: str
    title: str
    revision: str
    graph: dict[str, Any]


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

        def read() -> SubjectFacts:
            subject, graph = self.model.subject, self.model.graph
            graph_arguments = ("n_layers", "n_heads", "n_kv_heads", "parallel")
            return {
                "name": subject.name,
                "title": subject.title,
                "revision": subject.revision,
                "graph": {name: getattr(graph, name) for name in graph_arguments},
            }

        return self.journal.measured({"what": "subject"}, read)

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
            subject = self.model.subject
            prepared = prepare(subject, self.task, examples(lexicon(subject)), n)
            return prompts_to_json(subject, prepared)

        request = {"what": "prompts", "part": part, "n": n, "seed": self.config.seed}
        return prompts_from_json(part, self.journal.measured(request, draw))

    # Measurements with one number per prompt.

    def logit_differences(self, prompts: PromptSet) -> LogitDifferences:
        """The whole subject's logit differences, on clean and on corrupted prompts."""

        def measure(index: int) -> list[list[float]]:
            differences = measure_logit_differences(self.model.subject, [prompts.batches[index]])
            return [column.tolist() for column in differences]

        batches = self._each_batch(prompts, {"what": "readings"}, measure)
        # From one triple per batch to one array per field, over all prompts.
        clean, corrupted, top = (np.concatenate(column) for column in zip(*batches, strict=True))
        return LogitDifferences(clean, corrupted, top.astype(bool))

    def circuit_metric(
        self, prompts: PromptSet, mask: Mask, ablation: Ablation = "resample"
    ) -> MetricValues:
        """Each prompt's logit difference when only the mask's edges carry the clean prompt."""

        def measure(index: int) -> list[float]:
            pairs = prompts.batches[index].pairs
            return run_circuit(self.model, pairs, mask, ablation).double().tolist()

        request = {"what": "run", "mask": mask_digest(mask), "ablation": ablation}
        return np.concatenate(self._each_batch(prompts, request, measure))

    def node_effects(
        self, prompts: PromptSet, nodes: Sequence[Node]
    ) -> Float[np.ndarray, "node prompts"]:
        """Exact effects of patching whole heads and MLPs from the corrupted prompts."""
        names = list(map(str, nodes))
        return self._sweep(prompts, "nodes", names, lambda sweep: sweep.nodes(nodes))

    def edge_effects(
        self, prompts: PromptSet, edges: Sequence[Edge]
    ) -> Float[np.ndarray, "edge prompts"]:
        """Exact effects of patching single edges from the corrupted prompts."""
        names = list(map(str, edges))
        return self._sweep(prompts, "edges", names, lambda sweep: sweep.edges(edges))

    def interchange_effects(
        self, prompts: PromptSet, pairs: Sequence[tuple[Node, Node]]
    ) -> Float[np.ndarray, "swap prompts"]:
        """Effects of each first component writing what the second one writes."""
        names = [f"{node}<-{other}" for node, other in pairs]
        return self._sweep(prompts, "swaps", names, lambda sweep: sweep.interchange(pairs))

    def path_effects(
        self, prompts: PromptSet, senders: Sequence[Node], receivers: Sequence[Target]
    ) -> Float[np.ndarray, "sender prompts"]:
        """Effect of each sender over its direct paths to all receivers together.

        It is 0 for a sender after the last receiver: no path leads back.
        """
        graph = self.graph
        last = max((graph.n_sources_before(receiver) for receiver in receivers), default=0)
        early = [i for i, sender in enumerate(senders) if graph.sources.index(sender) < last]
        effects = np.zeros((len(senders), len(prompts)))
        if not early:
            return effects
        early_senders = [senders[i] for i in early]

        def measure(index: int) -> Any:
            pairs = prompts.batches[index].pairs
            return path_patch(self.model, pairs, early_senders, receivers).double().tolist()

        request = {
            "what": "paths",
            "senders": list(map(str, early_senders)),
            "receivers": [f"{target.node}<{target.input}>" for target in receivers],
        }
        batches = self._each_batch(prompts, request, measure)
        effects[early] = np.concatenate(batches, axis=1)
        return effects

    def observations(self, prompts: PromptSet, nodes: Sequence[Node]) -> list[HeadObservation]:
        """What heads attend to and what they write, on all prompts; the attention pattern is the first one's."""

        def measure(index: int) -> list[dict[str, Any]]:
            batch = prompts.batches[index]
            marks = positions_of(batch.pairs, batch.marks)
            observer = HeadObserver(self.model, batch.pairs, marks)
            return [vars(observer.observe(node)) for node in nodes]

        request = {"what": "looks", "nodes": list(map(str, nodes))}
        batches = self._each_batch(prompts, request, measure)
        by_node = ([HeadObservation(**batch[i]) for batch in batches] for i in range(len(nodes)))
        return [_concatenate(parts) for parts in by_node]

    # Measurements with one number per edge and prompt.

    def edge_scores(self, prompts: PromptSet) -> Float[Tensor, "pairs source target"]:
        """Every edge's estimated effect on every prompt, by the run's method."""
        method, steps = self.config.method, self.config.steps
        if cost := find_method(method).cost:
            self.reporter.say(f"{method}: {cost}")
        request = {"what": "scores", "method": method, "steps": steps}
        return self._edge_arrays(
            "rank edges",
            prompts,
            request,
            lambda pairs: edge_effects(method, self.model, pairs, steps),
        )

    def move_effects(self, prompts: PromptSet, mask: Mask) -> Float[Tensor, "pairs source target"]:
        """What each edge does when it alone is put into a circuit, or taken out of it."""
        request = {"what": "changes", "mask": mask_digest(mask)}
        return self._edge_arrays(
            "reconsider edges",
            prompts,
            request,
            lambda pairs: move_effects(self.model, pairs, mask),
        )

    def _edge_arrays(
        self,
        title: str,
        prompts: PromptSet,
        request: dict[str, Any],
        measure: Callable[[PromptPairs], Tensor],
    ) -> Float[Tensor, "pairs source target"]:
        """A number for every edge and prompt, measured for a few prompts at a time."""
        chunks = [
            (digest, batch.pairs, rows)
            for digest, batch in zip(prompts.digests, prompts.batches, strict=True)
            for rows in batch.pairs.row_batches(ATTRIBUTED_TOKENS)
        ]
        arrays: list[np.ndarray] = []
        for done, (digest, pairs, rows) in enumerate(chunks):
            self.reporter.update(title, done, len(chunks), unit="batches")

            def measure_chunk(pairs: PromptPairs = pairs, rows: range = rows) -> np.ndarray:
                return measure(pairs.take(rows))[:, self.graph.all_edges].float().numpy()

            chunk_request = {**request, "prompts": digest, "rows": [rows.start, rows.stop]}
            arrays.append(self.journal.array(chunk_request, measure_chunk))
        self.reporter.update(title, len(chunks), len(chunks), unit="batches")
        flat = torch.from_numpy(np.concatenate(arrays))
        full = flat.new_zeros(len(flat), *self.graph.all_edges.shape)
        full[:, self.graph.all_edges] = flat
        return full

    def _sweep(
        self, prompts: PromptSet, what: str, names: list[str], effects: Callable[[Sweep], Tensor]
    ) -> Float[np.ndarray, "unit prompts"]:
        def measure(index: int) -> Any:
            return effects(Sweep(self.model, prompts.batches[index].pairs)).double().tolist()

        batches = self._each_batch(prompts, {"what": what, "units": names}, measure)
        return np.concatenate([np.asarray(b).reshape(len(names), -1) for b in batches], axis=1)

    def _each_batch(
        self, prompts: PromptSet, request: dict[str, Any], measure: Callable[[int], Any]
    ) -> list[Any]:
        return [
            self.journal.measured({**request, "prompts": digest}, lambda i=index: measure(i))
            for index, digest in enumerate(prompts.digests)
        ]


def mask_digest(mask: Mask) -> str:
    """Names a mask in the journal's requests."""
    return hashlib.sha256(np.packbits(mask.cpu().numpy()).tobytes()).hexdigest()[:16]


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
