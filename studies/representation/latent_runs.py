"""What the study of latent circuits measures: effects of nodes, circuits of some sizes, held-out runs.

Nothing here decides anything: `latent_circuit` chooses and concludes from the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ...tools.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from ...tools.circuits.latents.ablated_runs import LatentAblation
    from ...tools.circuits.latents.nodes import LatentNodes, NodeValues
    from ...tools.circuits.prompts import PromptPairs
    from ...tools.dictionaries.dictionary import Dictionary
    from ...tools.subject import Subject
    from ..measurements import Measured
    from ..study_context import StudyContext

EXACT_PROMPTS = 16
"""Prompts on which single nodes are ablated, each in a run of its own."""
CHECK_CORPUS = "lee-news"
"""Text on which a dictionary must fit its place, as in `hubel dictionary check`."""


@dataclass(frozen=True)
class LatentRunOptions:
    """What is measured, and on what; see the options of the study."""

    task: str
    dictionaries: tuple[str, ...]
    ablation: LatentAblation
    steps: int
    discovery: int
    heldout: int
    unchecked: bool
    seed: int


class AblatedBatch(NamedTuple):
    """Prompts of one length, and what ablated nodes hold on them."""

    pairs: PromptPairs
    ablated: list[NodeValues]


class LatentRuns:
    """The measurements of one study; the subject and the dictionaries are opened when they are needed."""

    def __init__(self, study: StudyContext, options: LatentRunOptions) -> None:
        self._study, self._options = study, options

    @cached_property
    def subject(self) -> Subject:
        """The subject, at least in float32: effects are small differences of large sums."""
        return self._study.subject.at_least_float32

    @cached_property
    def facts(self) -> Measured:
        """Names, hashes and numbers of latents of the dictionaries."""

        def read() -> Measured:
            from ...tools.circuits.tasks import find_task

            # A name that is no task is refused before anything is loaded.
            find_task(self._options.task)
            opened = self._open(check=not self._options.unchecked).dictionaries
            facts = [(each.name, each.sha256, str(each.writes), each.n_latents) for each in opened]
            columns = map(np.array, zip(*facts, strict=True))
            return dict(zip(("names", "sha256", "places", "latents"), columns, strict=True))

        return self._study.measured("dictionaries", read)

    @cached_property
    def nodes(self) -> LatentNodes:
        """The nodes of the dictionaries, which are still those of the run's beginning."""
        facts, opened = self.facts, self._open(check=False)
        for dictionary, sha256 in zip(opened.dictionaries, facts["sha256"], strict=True):
            if dictionary.sha256 != sha256:
                raise UsageError(
                    f"{dictionary.source} is no longer the dictionary {dictionary.name!r} that this run "
                    "began with: put that one back, or start a new run"
                )
        return opened

    def _open(self, *, check: bool) -> LatentNodes:
        from ...tools.circuits.latents.nodes import LatentNodes
        from ...tools.corpus import read_corpus
        from ...tools.dictionaries.named_source import NamedSource
        from ...tools.dictionaries.placed import placed, require_fit
        from ...tools.dictionaries.read import read_dictionary

        sources = [NamedSource.parse(text) for text in self._options.dictionaries]
        read = [read_dictionary(source, name) for name, source in sources]
        for dictionary in read if check else ():
            texts = (document.text for document in read_corpus(CHECK_CORPUS).documents)
            try:
                require_fit(self.subject, dictionary, texts)
            except UsageError as error:
                raise UsageError(f"{error}; --unchecked-dictionaries takes it as it is") from error
        at_place = [placed(self.subject, dictionary) for dictionary in read]
        return LatentNodes(tuple(each.to(self.subject.device) for each in at_place))

    def _batches(
        self, part: Literal["discovery", "heldout"], nodes: LatentNodes
    ) -> Iterator[AblatedBatch]:
        from ...tools.circuits.latents.ablated_runs import ablated_values

        for pairs in self._prompts[part]:
            yield AblatedBatch(
                pairs, ablated_values(self.subject, nodes, pairs, self._options.ablation)
            )

    @cached_property
    def _prompts(self) -> Mapping[str, list[PromptPairs]]:
        from ...tools.circuits.tasks import find_task
        from ...tools.circuits.tasks.heldout import heldout
        from ...tools.circuits.tasks.prepared import lexicon, prepare
        from ...tools.circuits.tasks.task import draw_examples

        options, task = self._options, find_task(self._options.task)
        words = lexicon(self.subject)
        drawn = {
            "discovery": (draw_examples(task, "discovery", options.seed, words), options.discovery),
            "heldout": (heldout(task, options.seed, words), options.heldout),
        }
        return {
            part: [batch.pairs for batch in prepare(self.subject, task, examples, n).batches]
            for part, (examples, n) in drawn.items()
        }

    def effects(self, rotations: int) -> Measured:
        """Estimated effects of all nodes on discovery prompts, and mean ones of rotated dictionaries.

        Returns:
            `effects` (prompt node), `moved` (node): whether its value differs anywhere between the
            prompts and what is ablated, and `rotated` (rotation node).
        """
        from ...tools.circuits.latents.ablated_runs import ablated_values, node_values
        from ...tools.circuits.latents.attribution import node_effects, node_gradients

        def measure() -> Measured:
            nodes, subject = self.nodes, self.subject
            controls = [self.rotated(seed) for seed in range(rotations)]
            effects: list[np.ndarray] = []
            of_controls: list[list[np.ndarray]] = [[] for _ in controls]
            for batch in self._shown("effects of nodes", self._batches("discovery", nodes)):
                pairs, ablated = batch
                clean = node_values(subject, nodes, pairs.clean)
                gradients = node_gradients(
                    subject, nodes, pairs, clean, ablated, self._options.steps
                )
                effects.append(node_effects(nodes, clean, ablated, gradients).cpu().numpy())
                for control, rows in zip(controls, of_controls, strict=True):
                    values = node_values(subject, control, pairs.clean)
                    other = ablated_values(subject, control, pairs, self._options.ablation)
                    rows.append(node_effects(control, values, other, gradients).cpu().numpy())
            whole = np.concatenate(effects)
            means = [np.concatenate(rows).mean(0) for rows in of_controls]
            return {"effects": whole, "moved": (whole != 0).any(0), "rotated": np.stack(means)}

        return self._study.measured("effects", measure)

    def exact(self, which: Int[np.ndarray, " some"]) -> Measured:
        """Exact effects of some nodes on the first discovery prompts: `exact` (prompt some)."""
        from ...tools.circuits.latents.attribution import exact_effects

        def measure() -> Measured:
            rows: list[np.ndarray] = []
            for pairs, ablated in self._shown(
                "single nodes", self._batches("discovery", self.nodes)
            ):
                effects = exact_effects(self.subject, self.nodes, pairs, ablated, which.tolist())
                rows.append(effects.cpu().numpy())
                if sum(map(len, rows)) >= EXACT_PROMPTS:
                    break
            return {"which": which, "exact": np.concatenate(rows)}

        return self._study.measured("single-nodes", measure)

    def metrics(
        self,
        name: str,
        part: Literal["discovery", "heldout"],
        circuits: Mapping[str, Bool[np.ndarray, " node"]],
        rotation: int | None = None,
    ) -> Measured:
        """Each prompt's metric in the run of each circuit, by its name.

        Args:
            rotation: the seed of a rotated dictionary, which takes the place of the trained one.
        """

        def measure() -> Measured:
            nodes = self.nodes if rotation is None else self.rotated(rotation)
            batches = self._shown(name, self._batches(part, nodes))
            rows = [self._metrics_of_batch(nodes, batch, circuits) for batch in batches]
            return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

        return self._study.measured(name, measure)

    def _metrics_of_batch(
        self,
        nodes: LatentNodes,
        batch: AblatedBatch,
        circuits: Mapping[str, Bool[np.ndarray, " node"]],
    ) -> dict[str, Float[np.ndarray, " prompts"]]:
        import torch

        from ...tools.circuits.latents.ablated_runs import run_latents

        device = self.subject.device
        return {
            name: run_latents(
                self.subject,
                nodes,
                batch.pairs,
                torch.from_numpy(kept).to(device),
                batch.ablated,
            )
            .double()
            .cpu()
            .numpy()
            for name, kept in circuits.items()
        }

    def plain(self, part: Literal["discovery", "heldout"]) -> Measured:
        """The metric on the clean prompts and on their twins, without any dictionary."""
        import torch

        from ...tools.circuits.latents.ablated_runs import last_logits

        def of(ids: Callable[[PromptPairs], torch.Tensor]) -> np.ndarray:
            with torch.inference_mode():
                rows = [
                    pairs.logit_difference(last_logits(self.subject, ids(pairs))).double()
                    for pairs in self._prompts[part]
                ]
            return torch.cat(rows).cpu().numpy()

        return self._study.measured(
            f"plain-{part}",
            lambda: {"clean": of(lambda p: p.clean), "twin": of(lambda p: p.corrupted)},
        )

    def rotated(self, seed: int) -> LatentNodes:
        """The dictionaries turned into random directions around their mean inputs."""
        import torch

        from ...tools.circuits.latents.nodes import LatentNodes
        from ...tools.dictionaries.fold import rotated

        generator = torch.Generator().manual_seed(seed)

        def orthogonal(width: int) -> torch.Tensor:
            return torch.linalg.qr(torch.randn(width, width, generator=generator)).Q

        turned: list[Dictionary] = []
        for dictionary, centre in zip(self.nodes.dictionaries, self._centres, strict=True):
            read = orthogonal(len(centre)).to(centre.device)
            written = read
            if dictionary.is_transcoder:
                written = orthogonal(dictionary.decoder.shape[1]).to(centre.device)
            turned.append(rotated(dictionary, centre, read, written))
        return LatentNodes(tuple(turned))

    @cached_property
    def _centres(self) -> list[Float[Tensor, " d_in"]]:
        """Mean (normalised) inputs on discovery prompts, without position 0, which is a sink."""
        import torch

        sites = [dictionary.reads for dictionary in self.nodes.dictionaries]
        sums = [
            torch.zeros(d.encoder.shape[0], device=self.subject.device)
            for d in self.nodes.dictionaries
        ]
        count = 0
        for pairs in self._prompts["discovery"]:
            values = self.subject.capture(pairs.clean, sites).activations
            for total, dictionary in zip(sums, self.nodes.dictionaries, strict=True):
                read = values[dictionary.reads][:, 1:]
                total += dictionary.normalised(read)[0].sum((0, 1))
            count += pairs.clean[:, 1:].numel()
        return [total / max(1, count) for total in sums]

    def _shown(self, step: str, batches: Iterator[AblatedBatch]) -> Iterator[AblatedBatch]:
        for done, batch in enumerate(batches):
            self._study.progress(step, done, None)
            yield batch
