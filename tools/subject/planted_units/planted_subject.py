"""Units whose meaning is known, planted into a subject: to everything that looks they are further
neurons of a layer.

1. The units of each layer stand behind its neurons, in an order shuffled by the suite's seed.
2. A text that is a context of the corpus is looked up in its document, so that a match over a
   context's edge counts; any other text is matched by itself, as one context. Two contexts with the
   same tokens are taken for the first one.
3. Their activations are columns of what enters the layer's down projection. The model computes on
   with its own columns.
4. A unit that writes adds its token's unembedding times its activation to the residual stream after
   its layer. This happens in every pass; interventions change the activation first, as they do for
   any neuron.
5. Nulls and controls (`nulls`) stand among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...corpus import Document
from ...errors import UsageError
from ..address import Shape, Site, Unit
from ..interventions import Intervention
from ..subject import PassEdits, Subject
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
    """A subject with the units of a suite beside its own.

    Args:
        documents: the corpus that will be indexed, with the context length and the limit of tokens that it will have.

    Raises:
        UsageError: a unit's layer, source or written token is not in the subject; the message names the unit.
    """
    _check_layers(suite, subject.shape)
    return PlantedSubject(subject, suite, CorpusTexts(subject, documents, context_len, max_tokens))


class PlantedSubject(Subject):
    """A subject with planted units, nulls and controls.

    Attributes:
        base: the subject without them.
        texts: the corpus as they see it.
        planted: address of each unit of the suite, by id; `described`: the other way round.
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
            at: sorted(unit for unit in self.suite_unit_at if unit.layer == at)
            for at in suite.layers
        }
        self._values = UnitValues(base, suite, self.suite_unit_at, texts)
        self._writes = UnitWrites(base, self.suite_unit_at, texts)
        self.shape = self._wider(base.shape)

    def _wider(self, shape: Shape) -> Shape:
        layers = range(shape.n_layers)
        widths = tuple(
            shape.count(Site("mlp", layer)) + len(self._by_layer.get(layer, ())) for layer in layers
        )
        return Shape(shape.n_layers, widths, shape.n_heads, shape.directions)

    def truth(
        self, unit: Unit, ids: Int[np.ndarray, "context seq"]
    ) -> Float[np.ndarray, "context seq"]:
        """A planted unit's activations without noise on texts, right-padded with 0; zeros for a null."""
        return self._values.truth(unit.unsided, ids)

    def _pass(
        self,
        ids: Int[Tensor, "batch seq"],
        places: Sequence[Site],
        interventions: Sequence[Sequence[Intervention]] | None,
    ) -> PassEdits:
        edits = {
            place: list(some)
            for place, some in super()._pass(ids, places, interventions).edits.items()
        }
        touched = {place.layer for place in (*places, *edits) if place.kind == "mlp"} | set(
            self._writes.layers
        )
        units = {layer: some for layer, some in self._by_layer.items() if layer in touched}
        columns = PlantedColumns(self._values, self._writes, ids.to(self.device), units)
        for place, edit in columns.edits():
            # What is written is there before anything else touches the stream; values are
            # remembered after all edits.
            others = edits.setdefault(place, [])
            others.insert(0 if place.kind == "stream" else len(others), edit)
        return PassEdits(edits, columns.widen)

    def unit_activations(
        self,
        ids: Int[Tensor, "batch seq"],
        units: Sequence[Unit],
        *,
        interventions: Sequence[Sequence[Intervention]] | None = None,
    ) -> Float[Tensor, "unit batch seq"]:
        """Raw activations; no forward pass is made where the text decides them all."""
        unsided = [unit.unsided for unit in units]
        from_text = all(
            unit in self.suite_unit_at and not self._values.sources(unit) for unit in unsided
        )
        if interventions or not units or not from_text:
            return super().unit_activations(ids, units, interventions=interventions)
        found = self._values.of(unsided, self._checked(ids).cpu().numpy())
        return torch.from_numpy(found).to(self.device)

    def write_direction(self, unit: Unit) -> Float[Tensor, " d_model"]:
        """A planted unit's is zero if it writes nothing; the mean of its tokens' if it writes several."""
        if unit.unsided not in self.suite_unit_at:
            return self.base.write_direction(unit)
        if unit.unsided not in self._writes:
            return torch.zeros(self.d_model, device=self.device, dtype=self.dtype)
        return self._writes.mean(unit.unsided).to(self.dtype)


def addresses(suite: Suite, shape: Shape) -> dict[str, Unit]:
    """Where each unit of a suite is planted: behind the neurons of its layer, in an order shuffled by the seed."""
    found: dict[str, Unit] = {}
    for layer in suite.layers:
        units = [unit for unit in suite.units if unit.layer == layer]
        order = np.random.default_rng([suite.seed, layer]).permutation(len(units))
        for unit, place in zip(units, order.tolist(), strict=True):
            found[unit.id] = Unit("mlp", layer, shape.count(Site("mlp", layer)) + place)
    return found


def _check_layers(suite: Suite, shape: Shape) -> None:
    for unit in suite.units:
        if unit.layer >= shape.n_layers:
            raise UsageError(
                f"{suite.origin}: unit {unit.id!r}: layer {unit.layer} is out of range; the subject has layers 0 to "
                f"{shape.n_layers - 1}"
            )
