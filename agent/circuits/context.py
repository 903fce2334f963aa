"""What the steps of a circuit investigation work with: measurements through the journal, the
subject on demand.

Everything that a step learns of the subject comes through here, so that a run that was killed
measures nothing twice, and a replay needs no subject at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...tools.circuits.ablation import Ablation
from ...tools.circuits.graph import Edge, Graph, Mask, Node, Target
from ...tools.circuits.tasks import Task, find_task
from ...tools.errors import UsageError
from ..runlog.log import RunLog
from ..runlog.progress import Reporter
from .config import CircuitConfig
from .journal import Journal
from .prompts import Prompts

if TYPE_CHECKING:
    from ...tools.circuits.circuit_model import CircuitModel
    from ...tools.circuits.head_observations import HeadObservation
    from ...tools.circuits.prompts import PromptPairs
    from ...tools.circuits.sweep import Sweep
    from ..llm.conversation import Reply, Request
    from ..llm.journaled_model import JournaledModel, ReplayModel

Numbers = Float[np.ndarray, " prompts"]
ASKED = "circuit"
"""What stands in the log where other runs name a target."""
ATTRIBUTED_TOKENS = 96
"""Tokens of clean prompts attributed at once: 0.4 GB beside the default subject (`tools/circuits/memory`)."""


class Measurements(NamedTuple):
    """What the subject answers: logit differences of prompts and twins, and whether an answer came out on top."""

    clean: Numbers
    corrupted: Numbers
    top: Bool[np.ndarray, " prompts"]


@dataclass
class CircuitContext:
    """One run's room."""

    folder: Path
    config: CircuitConfig
    log: RunLog
    journal: Journal
    load: Callable[[], CircuitModel]
    """Loads the subject; called once, when something must be measured."""
    reporter: Reporter = field(default_factory=Reporter)
    asker: Callable[[], JournaledModel | ReplayModel] | None = None
    """What a language model is asked through; called when one must be asked."""

    def ask(self, request: Request) -> Reply:
        """The reply to a request, from the journal or paid for now; raises BudgetReached."""
        if self._asked is None:
            raise UsageError(
                "no language model can be asked in this room; this is a defect of the loop"
            )
        return self._asked.ask(ASKED, request).reply

    @cached_property
    def _asked(self) -> JournaledModel | ReplayModel | None:
        return self.asker and self.asker()

    @cached_property
    def model(self) -> CircuitModel:
        """The subject, taken apart."""
        return self.load()

    @cached_property
    def task(self) -> Task:
        """The task."""
        return find_task(self.config.task)

    @cached_property
    def about(self) -> dict[str, str]:
        """Name and summary of the task, which a replay has without the user's file."""
        named = {"what": "task", "task": self.config.task}
        return self.journal.measured(
            named, lambda: {"name": self.task.name, "summary": self.task.summary}
        )

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What must be known of the subject to read the log without it."""
        return self.journal.measured({"what": "subject"}, self._facts)

    def _facts(self) -> dict[str, Any]:
        subject, graph = self.model.subject, self.model.graph
        sizes = {
            name: getattr(graph, name) for name in ("n_layers", "n_heads", "n_kv_heads", "parallel")
        }
        return {
            "name": subject.name,
            "title": subject.title,
            "revision": subject.revision,
            "graph": sizes,
        }

    @cached_property
    def graph(self) -> Graph:
        """The subject's nodes and edges."""
        return Graph(**self.facts["graph"])

    # ------------------------------------------------------------------ measurements, a number a
    # prompt

    def readings(self, prompts: Prompts) -> Measurements:
        """Bare passes over prompts and twins."""
        from ...tools.circuits.tasks.logit_differences import measure_logit_differences

        def measure(at: int) -> Any:
            found = measure_logit_differences(self.model.subject, [prompts.batches[at]])
            return [found.clean.tolist(), found.corrupted.tolist(), found.top.tolist()]

        columns = zip(*self._each(prompts, {"what": "readings"}, measure), strict=True)
        clean, corrupted, top = (
            np.concatenate([np.asarray(part) for part in column]) for column in columns
        )
        return Measurements(clean, corrupted, top.astype(bool))

    def run(self, prompts: Prompts, mask: Mask, ablation: Ablation = "resample") -> Numbers:
        """The metric when only the mask's edges carry the prompt."""
        from ...tools.circuits.ablation import run_circuit

        def measure(at: int) -> list[float]:
            return (
                run_circuit(self.model, prompts.batches[at].pairs, mask, ablation).double().tolist()
            )

        request = {"what": "run", "mask": mask_name(mask), "ablation": ablation}
        return np.concatenate([np.asarray(part) for part in self._each(prompts, request, measure)])

    def scores(self, prompts: Prompts) -> Float[Tensor, "pairs source target"]:
        """Every edge's estimated effect on every prompt, by the run's method."""
        from ...tools.circuits.methods import edge_effects, find_method

        if cost := find_method(self.config.method).cost:
            self.reporter.say(f"{self.config.method}: {cost}")
        how = {"what": "scores", "method": self.config.method, "steps": self.config.steps}
        return self._arrays(
            "rank edges",
            prompts,
            how,
            lambda pairs: edge_effects(self.config.method, self.model, pairs, self.config.steps),
        )

    def changes(self, prompts: Prompts, mask: Mask) -> Float[Tensor, "pairs source target"]:
        """What each edge does when it alone is put into a circuit, or taken out of it."""
        from ...tools.circuits.swap_edges import move_effects

        how = {"what": "changes", "mask": mask_name(mask)}
        return self._arrays(
            "reconsider edges", prompts, how, lambda pairs: move_effects(self.model, pairs, mask)
        )

    def _arrays(
        self,
        title: str,
        prompts: Prompts,
        how: dict[str, Any],
        measure: Callable[[PromptPairs], Tensor],
    ) -> Float[Tensor, "pairs source target"]:
        """A number for every edge and prompt, some prompts at once."""
        possible, found = self.graph.all_edges, list[np.ndarray]()
        chunks = [
            (name, batch.pairs, rows)
            for name, batch in zip(prompts.names, prompts.batches, strict=True)
            for rows in batch.pairs.row_batches(ATTRIBUTED_TOKENS)
        ]
        for done, (name, pairs, rows) in enumerate(chunks):
            self.reporter.update(title, done, len(chunks), unit="batches")
            request = {**how, "prompts": name, "rows": [rows.start, rows.stop]}
            taken = partial(_flat, measure, pairs, rows, possible)
            found.append(self.journal.array(request, taken))
        self.reporter.update(title, len(chunks), len(chunks), unit="batches")
        flat = torch.from_numpy(np.concatenate(found))
        full = flat.new_zeros(len(flat), *possible.shape)
        full[:, possible] = flat
        return full

    def node_effects(
        self, prompts: Prompts, nodes: Sequence[Node]
    ) -> Float[np.ndarray, "node prompts"]:
        """Exact effects of patching whole heads and MLPs from the twins."""
        return self._swept(
            prompts, "nodes", list(map(str, nodes)), lambda sweep: sweep.nodes(nodes)
        )

    def edge_effects(
        self, prompts: Prompts, edges: Sequence[Edge]
    ) -> Float[np.ndarray, "edge prompts"]:
        """Exact effects of patching single edges."""
        return self._swept(
            prompts, "edges", list(map(str, edges)), lambda sweep: sweep.edges(edges)
        )

    def through(
        self, prompts: Prompts, senders: Sequence[Node], receivers: Sequence[Target]
    ) -> Float[np.ndarray, "sender prompts"]:
        """Effect of each sender on its direct paths to all receivers together; 0 where it comes after them all."""
        from ...tools.circuits.path_patching import path_patch

        last = max((self.graph.n_sources_before(receiver) for receiver in receivers), default=0)
        before = [
            at for at, sender in enumerate(senders) if self.graph.sources.index(sender) < last
        ]
        found = np.zeros((len(senders), len(prompts)))
        if not before:
            return found
        some = [senders[at] for at in before]

        def measure(at: int) -> Any:
            return (
                path_patch(self.model, prompts.batches[at].pairs, some, receivers).double().tolist()
            )

        names = [f"{node}<{read}>" for node, read in receivers]
        request = {"what": "paths", "senders": list(map(str, some)), "receivers": names}
        found[before] = np.concatenate(
            [np.asarray(part) for part in self._each(prompts, request, measure)], axis=1
        )
        return found

    def swaps(
        self, prompts: Prompts, pairs: Sequence[tuple[Node, Node]]
    ) -> Float[np.ndarray, "swap prompts"]:
        """Effects of writing what another component writes."""
        names = [f"{one}<-{two}" for one, two in pairs]
        return self._swept(prompts, "swaps", names, lambda sweep: sweep.interchange(pairs))

    def looks(self, prompts: Prompts, nodes: Sequence[Node]) -> list[HeadObservation]:
        """What heads look at and what they write, prompts of all batches together; the pattern is the first's."""
        from ...tools.circuits.head_observations import HeadObservation, HeadObserver, positions_of

        def measure(at: int) -> list[dict[str, Any]]:
            batch = prompts.batches[at]
            looker = HeadObserver(self.model, batch.pairs, positions_of(batch.pairs, batch.marks))
            return [vars(looker.observe(node)) for node in nodes]

        request = {"what": "looks", "nodes": list(map(str, nodes))}
        parts = self._each(prompts, request, measure)
        return [
            _joined([HeadObservation(**part[at]) for part in parts]) for at in range(len(nodes))
        ]

    def _swept(
        self, prompts: Prompts, what: str, names: list[str], effects: Callable[[Sweep], Tensor]
    ) -> Float[np.ndarray, "unit prompts"]:
        from ...tools.circuits.sweep import Sweep

        def measure(at: int) -> Any:
            return effects(Sweep(self.model, prompts.batches[at].pairs)).double().tolist()

        parts = self._each(prompts, {"what": what, "units": names}, measure)
        return np.concatenate([np.asarray(part).reshape(len(names), -1) for part in parts], axis=1)

    def _each(
        self, prompts: Prompts, request: dict[str, Any], measure: Callable[[int], Any]
    ) -> list[Any]:
        return [
            self.journal.measured({**request, "prompts": name}, lambda at=at: measure(at))
            for at, name in enumerate(prompts.names)
        ]


def mask_name(mask: Mask) -> str:
    """A digest that stands for a mask in the journal's requests."""
    return hashlib.sha256(np.packbits(mask.cpu().numpy()).tobytes()).hexdigest()[:16]


def _flat(
    measure: Callable[[PromptPairs], Tensor], pairs: PromptPairs, rows: range, possible: Mask
) -> np.ndarray:
    return measure(pairs.take(rows))[:, possible].float().numpy()


def _joined(parts: Sequence[HeadObservation]) -> HeadObservation:
    """One node's looks at several batches; only what all of them have is kept."""
    from ...tools.circuits.head_observations import HeadObservation

    shared = [name for name in parts[0].attention if all(name in part.attention for part in parts)]
    attention = {
        name: [value for part in parts for value in part.attention[name]] for name in shared
    }
    direct, copies = (
        [v for part in parts for v in getattr(part, name)] for name in ("direct", "copies")
    )
    return HeadObservation(attention, direct, copies, parts[0].pattern, parts[0].writes)
