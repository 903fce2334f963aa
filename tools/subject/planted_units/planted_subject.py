"""A subject with planted units: units of known meaning that look like further neurons of a layer.

1. The planted units of a layer come after its neurons, in an order shuffled by the suite's seed.
2. A text that is a context of the corpus is matched in its document, so that matches across a
   context's edge count; any other text is matched by itself, as one context. Two contexts with the
   same tokens count as the first one.
3. Their activations are appended as columns to the input of the layer's down projection. The model
   computes on with its own columns.
4. A unit that writes adds its token's unembedding times its activation to the residual stream after
   its layer. This happens in every pass; interventions change the activation first, as they do for
   any neuron.
5. Nulls and controls (`nulls`) are among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...corpus import Document
from ...errors import UsageError
from ..address import Shape, Site, Unit
from ..capture import PassEdits
from ..interventions import Intervention
from ..subject import StoredActivations, Subject
from .corpus_texts import CorpusTexts
from .planted_columns import PlantedColumns
from .suite import Suite, SuiteUnit
from .unit_values import UnitValues
from .unit_writes import UnitWrites


def plant(
    subject: Subject,
    suite: Suite,
    documents: Iterable[Document],
    *,
    context_len: int = 64,
    max_tokens: int | None = None,
) -> PlantedSubject:
    """A subject with the units of a suite in addition to its own.

    Args:
        documents: the corpus that will be indexed, with its context length and token limit.

    Raises:
        UsageError: a unit's layer, source or written token is not in the subject; the message names
            the unit.
    """
    subject.require_decoder("planted units")
    for unit in suite.units:
        if unit.layer >= subject.shape.n_layers:
            raise UsageError(
                f"{suite.origin}: unit {unit.id!r}: layer {unit.layer} is out of range; "
                f"the subject has layers 0 to {subject.shape.n_layers - 1}"
            )
    return PlantedSubject(subject, suite, CorpusTexts(subject, documents, context_len, max_tokens))


class PlantedSubject(Subject):
    """A subject with planted units, nulls and controls.

    Attributes:
        base: the subject without them.
        texts: the corpus as the planted units see it.
        address_by_id: the address of each unit of the suite; `suite_unit_at`: the inverse.
    """

    def __init__(self, base: Subject, suite: Suite, texts: CorpusTexts) -> None:
        super().__init__(
            base.model,
            base.tokenizer,
            name=base.name,
            title=f"{base.title}, with {len(suite.units)} planted units of suite {suite.digest[:8]}",
            revision=f"{base.revision}+{suite.digest[:8]}",
            directions=base.directions,
            architecture=base.architecture,
        )
        self.base, self.suite, self.texts = base, suite, texts
        self.address_by_id = addresses(suite, base.shape)
        self.suite_unit_at: Mapping[Unit, SuiteUnit] = {
            self.address_by_id[unit.id]: unit for unit in suite.units
        }
        self._by_layer = {
            layer: sorted(unit for unit in self.suite_unit_at if unit.layer == layer)
            for layer in suite.layers
        }
        self._values = UnitValues(base, suite, self.suite_unit_at, texts)
        self._writes = UnitWrites(base, self.suite_unit_at, texts)
        widths = tuple(
            base.shape.count(Site("mlp", layer)) + len(self._by_layer.get(layer, ()))
            for layer in range(base.shape.n_layers)
        )
        self.shape = replace(base.shape, n_neurons=widths)
        self.dictionaries = base.dictionaries

    def truth(
        self, unit: Unit, ids: Int[np.ndarray, "context seq"]
    ) -> Float[np.ndarray, "context seq"]:
        """A planted unit's noiseless activations on texts (right-padded with 0); 0 for a null."""
        return self._values.truth(unit.unsided, ids)

    def truth_by_part(
        self, unit: Unit, ids: Int[np.ndarray, "context seq"]
    ) -> Float[np.ndarray, "part context seq"]:
        """The same of each of the unit's parts, which add up to it."""
        return self.texts.activations(self.suite_unit_at[unit.unsided].parts, ids)

    def _edits_for(
        self,
        ids: Int[Tensor, "batch seq"],
        raw_sites: Sequence[Site],
        interventions: Sequence[Sequence[Intervention]] | None,
    ) -> PassEdits:
        interventional = super()._edits_for(ids, raw_sites, interventions).edits
        edits = {site: list(of_site) for site, of_site in interventional.items()}
        # Columns are needed where neurons are read or edited, and where planted units write.
        layers = {site.layer for site in (*raw_sites, *edits) if site.kind == "mlp"}
        layers |= set(self._writes.layers)
        units = {layer: units for layer, units in self._by_layer.items() if layer in layers}
        columns = PlantedColumns(self._values, self._writes, ids.to(self.device), units)
        for site, edit in columns.edits():
            # Planted units write before anything else edits the stream; values are remembered
            # after all edits.
            of_site = edits.setdefault(site, [])
            of_site.insert(0 if site.kind == "stream" else len(of_site), edit)
        return PassEdits(edits, columns.append)

    def unit_activations(
        self,
        ids: Int[Tensor, "batch seq"],
        units: Sequence[Unit],
        *,
        interventions: Sequence[Sequence[Intervention]] | None = None,
    ) -> Float[Tensor, "unit batch seq"]:
        """Raw activations; makes no forward pass if the text decides them all."""
        unsided = [unit.unsided for unit in units]
        from_text = all(
            unit in self.suite_unit_at and not self._values.sources(unit) for unit in unsided
        )
        if interventions or not units or not from_text:
            return super().unit_activations(ids, units, interventions=interventions)
        values = self._values.of(unsided, self._checked(ids).cpu().numpy())
        return torch.from_numpy(values).to(self.device)

    def neurons_from(
        self,
        layer: int,
        mlp_in: Float[Tensor, "batch seq d_model"],
        ids: Int[Tensor, "batch seq"],
        columns: Sequence[int] | None = None,
    ) -> Float[Tensor, "batch seq column"]:
        """The layer's neurons and planted units, or some columns of them, from its MLP's input."""
        needed = range(self.shape.count(Site("mlp", layer))) if columns is None else columns
        units = [unit for unit in self._by_layer.get(layer, ()) if unit.index in needed]
        if not units:
            return super().neurons_from(layer, mlp_in, ids, columns)
        own = super().neurons_from(layer, mlp_in, ids)  # controls read them all
        by_layer = {layer: units}
        planted = PlantedColumns(self._values, self._writes, ids, by_layer, {layer: mlp_in})
        wide = planted.append(Site("mlp", layer), own)
        places = {unit.index: own.shape[-1] + i for i, unit in enumerate(units)}
        return wide[..., [places.get(column, column) for column in needed]]

    def offer_stored(self, read: StoredActivations) -> None:
        """Fill the table of shuffled nulls from stored activations, unless planted units change them."""
        sources = [null.source for null in self._values.shuffled]
        # What is written to the stream after a layer reaches the layers after it, and directions.
        reached = [
            source
            for source in sources
            for layer in self._writes.layers
            if source.layer > layer or (source.layer == layer and source.site == "resid")
        ]
        if not reached:
            self._values.read_stored(read)

    def depends_on_text(self, layer: int) -> bool:
        """Whether the layer has planted units."""
        return layer in self._by_layer

    def writes_besides_mlp(self, layer: int) -> bool:
        """Whether a planted unit of the layer writes."""
        return layer in self._writes.layers

    def write_direction(self, unit: Unit) -> Float[Tensor, " d_model"]:
        """For a planted unit, the mean of the directions that it writes; zero if it writes none."""
        if unit.unsided not in self.suite_unit_at:
            owner = super() if unit.site == "sae" else self.base  # the base has no dictionaries
            return owner.write_direction(unit)
        if unit.unsided not in self._writes:
            return torch.zeros(self.d_model, device=self.device, dtype=self.dtype)
        return self._writes.mean(unit.unsided).to(self.dtype)


def addresses(suite: Suite, shape: Shape) -> dict[str, Unit]:
    """Address of each unit: after its layer's neurons, in an order shuffled by the suite's seed."""
    by_id: dict[str, Unit] = {}
    for layer in suite.layers:
        units = [unit for unit in suite.units if unit.layer == layer]
        order = np.random.default_rng([suite.seed, layer]).permutation(len(units))
        for unit, position in zip(units, order.tolist(), strict=True):
            by_id[unit.id] = Unit("mlp", layer, shape.count(Site("mlp", layer)) + position)
    return by_id
