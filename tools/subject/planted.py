"""Units whose meaning is known, planted into a subject: to everything that looks they are further neurons of a layer.

1. The units of each layer stand behind its neurons, in an order shuffled by the suite's seed.
2. A text that is a context of the corpus is looked up in its document, so that a match over a context's edge counts;
   any other text is matched by itself, as one context. Two contexts with the same tokens are taken for the first one.
3. Their activations are columns of what enters the layer's down projection. The model computes on with its own columns.
4. Noise follows from the seed, the unit and the text, so that index, collect and instruments see the same.
5. A unit that writes adds its token's unembedding times its activation to the residual stream after its layer. This
   happens in every pass; interventions change the activation first, as they do for any neuron.
6. Nulls and controls (`nulls`) stand among them. A shuffled null has, on a corpus context, the values of another one of
   its split; these are looked up in a table that one pass over the corpus fills when it is first needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..corpus import Document
from ..errors import UsageError
from . import nulls
from .address import Shape, Site, Unit
from .capture import Edit
from .corpus_texts import CorpusTexts
from .intervene import Intervention
from .nulls import ArtificialUnit, RedrawnUnit, ShuffledUnit
from .shuffle_table import ShuffleTable
from .subject import Pass, Subject
from .suite import Suite, SuiteUnit

Rows = Float[np.ndarray, "batch seq"]


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
    return PlantedSubject(subject, suite, CorpusTexts(subject, documents, context_len, max_tokens))


class PlantedSubject(Subject):
    """A subject with planted units, nulls and controls.

    Attributes:
        base: the subject without them.
        planted: address of each unit of the suite; `described`: the other way round.
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
        _check_layers(suite, base.shape)
        self.planted = addresses(suite, base.shape)
        self.described: Mapping[Unit, SuiteUnit] = {self.planted[unit.id]: unit for unit in suite.units}
        self._artificial = _artificial(self)
        self._written = {at: _written(base, unit) for at, unit in self.described.items() if _writes(unit)}
        widths = [base.shape.count(Site("mlp", layer)) for layer in range(base.shape.n_layers)]
        more = [sum(unit.layer == layer for unit in suite.units) for layer in range(base.shape.n_layers)]
        self.shape = Shape(
            n_layers=base.shape.n_layers,
            n_neurons=tuple(own + further for own, further in zip(widths, more, strict=True)),
            n_heads=base.shape.n_heads,
            directions=base.shape.directions,
        )

    def planted_of(self, layer: int) -> list[Unit]:
        """The planted units of a layer, in the order of their columns."""
        return self._by_layer.get(layer, [])

    @cached_property
    def _by_layer(self) -> dict[int, list[Unit]]:
        return {layer: sorted(u for u in self.described if u.layer == layer) for layer in self.suite.layers}

    def truth(self, unit: Unit, ids: Int[np.ndarray, "context seq"]) -> Float[np.ndarray, "context seq"]:
        """A planted unit's activations without noise on texts, right-padded with 0; zeros for a null."""
        return self.texts.activations(self.described[unit.unsided].parts, ids).sum(axis=0)

    # ------------------------------------------------ what a subject does, with more columns

    def _pass(
        self,
        ids: Int[Tensor, "batch seq"],
        places: Sequence[Site],
        interventions: Sequence[Sequence[Intervention]] | None,
    ) -> Pass:
        edits = {place: list(some) for place, some in super()._pass(ids, places, interventions).edits.items()}
        writing = sorted({unit.layer for unit in self._written})
        touched = {place.layer for place in (*places, *edits) if place.kind == "mlp"} | set(writing)
        columns = _Columns(self, ids, sorted(touched))
        for layer in columns.redrawn_layers:
            edits.setdefault(Site("mlp_in", layer), []).append(columns.remember_input(layer))
        for layer in writing:
            edits.setdefault(Site("mlp", layer), []).append(columns.remember_values(layer))
            edits.setdefault(Site("stream", layer), []).insert(0, columns.write(layer))
        return Pass(edits, columns.widen)

    def unit_activations(
        self,
        ids: Int[Tensor, "batch seq"],
        units: Sequence[Unit],
        *,
        interventions: Sequence[Sequence[Intervention]] | None = None,
    ) -> Float[Tensor, "unit batch seq"]:
        """Raw activations; for planted units alone, and nulls that need none, no forward pass is made."""
        from_text = all(unit.unsided in self.described and not self._sources(unit) for unit in units)
        if interventions or not units or not from_text:
            return super().unit_activations(ids, units, interventions=interventions)
        ids = self._checked(ids)
        found = self.values([unit.unsided for unit in units], ids)
        return torch.from_numpy(found).to(self.device)

    def write_direction(self, unit: Unit) -> Float[Tensor, " d_model"]:
        """A planted unit's is zero if it writes nothing; the mean of its tokens' if it writes several."""
        if unit.unsided not in self.described:
            return self.base.write_direction(unit)
        directions = self._written.get(unit.unsided)
        if directions is None:
            return torch.zeros(self.d_model, device=self.device, dtype=self.dtype)
        return _mean_write(directions).to(self.dtype)

    # ------------------------------------------------ values

    def values(self, units: Sequence[Unit], ids: Int[Tensor, "batch seq"]) -> Float[np.ndarray, "unit batch seq"]:
        """Activations of units that a text alone decides."""
        rows = ids.cpu().numpy()
        return np.stack([self._value(unit, rows) for unit in units]).astype(np.float32)

    def _value(self, unit: Unit, rows: Int[np.ndarray, "batch seq"]) -> Rows:
        artificial = self._artificial.get(unit)
        if isinstance(artificial, ShuffledUnit):
            return self._table.values(artificial, rows)
        if artificial is not None:
            return artificial.values({}, torch.from_numpy(rows)).numpy()
        described = self.described[unit]
        value = self.truth(unit, rows)
        return value + described.noise * self._noise(unit, rows) if described.noise else value

    def _noise(self, unit: Unit, rows: Int[np.ndarray, "batch seq"]) -> Rows:
        own = _hash64(f"{self.suite.seed}\0{unit}".encode())
        found = np.empty(rows.shape, np.float32)
        for number, key in enumerate(self.texts.keys(rows)):
            generator = np.random.Generator(np.random.Philox(key=np.array([own, _hash64(key)], np.uint64)))
            found[number] = generator.standard_normal(rows.shape[1], dtype=np.float32)
        return found

    def _sources(self, unit: Unit) -> tuple[Site, ...]:
        artificial = self._artificial.get(unit.unsided)
        return () if artificial is None or isinstance(artificial, ShuffledUnit) else artificial.sources

    @cached_property
    def _table(self) -> ShuffleTable:
        shuffled = [unit for unit in self._artificial.values() if isinstance(unit, ShuffledUnit)]
        return ShuffleTable.of(self.base, self.texts, shuffled)


class _Columns:
    """The further columns of one forward pass."""

    def __init__(self, subject: PlantedSubject, ids: Int[Tensor, "batch seq"], layers: Sequence[int]) -> None:
        self._subject, self._ids = subject, ids
        self._units = {layer: units for layer in layers if (units := subject.planted_of(layer))}
        self._width = subject.base.shape.count
        self._inputs: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        # All that the text decides is computed before the pass begins: a table may need passes of its own.
        self._from_text = {layer: self._text_columns(units) for layer, units in self._units.items()}

    @property
    def redrawn_layers(self) -> list[int]:
        """Layers whose MLP input is needed."""
        kinds = self._subject._artificial
        return [
            layer for layer, units in self._units.items() if any(isinstance(kinds.get(u), RedrawnUnit) for u in units)
        ]

    def _text_columns(self, units: Sequence[Unit]) -> Float[Tensor, "batch seq unit"]:
        columns = np.zeros((*self._ids.shape, len(units)), np.float32)
        chosen = [(at, unit) for at, unit in enumerate(units) if not self._subject._sources(unit)]
        if chosen:
            values = self._subject.values([unit for _, unit in chosen], self._ids)
            columns[..., [at for at, _ in chosen]] = np.moveaxis(values, 0, -1)
        return torch.from_numpy(columns).to(self._subject.device)

    def widen(self, site: Site, value: Float[Tensor, "batch seq width"]) -> Float[Tensor, "batch seq wide"]:
        """Put the layer's columns behind its neurons."""
        if site.kind != "mlp" or site.layer not in self._units:
            return value
        columns = self._from_text[site.layer].to(value.dtype)
        for at, unit in enumerate(self._units[site.layer]):
            if self._subject._sources(unit):
                captured = {site: value, Site("mlp_in", site.layer): self._inputs.get(site.layer, value)}
                columns[..., at] = self._subject._artificial[unit].values(captured, self._ids).to(value.dtype)
        return torch.cat([value, columns], dim=-1)

    def remember_input(self, layer: int) -> Edit:
        """An edit that changes nothing and keeps what enters the layer's MLP."""

        def edit(value: Tensor) -> None:
            self._inputs[layer] = value

        return edit

    def remember_values(self, layer: int) -> Edit:
        """An edit that changes nothing and keeps the planted columns, as interventions left them."""

        def edit(value: Tensor) -> None:
            self._values[layer] = value[..., self._width(Site("mlp", layer)) :]

        return edit

    def write(self, layer: int) -> Edit:
        """An edit of the stream that adds what the layer's units write."""

        def edit(value: Tensor) -> None:
            for at, unit in enumerate(self._units[layer]):
                directions = self._subject._written.get(unit)
                if directions is not None:
                    strength = self._values[layer][..., at, None].to(value.dtype)
                    value += strength * self._direction(unit, directions).to(value.dtype)

        return edit

    def _direction(self, unit: Unit, directions: Float[Tensor, "part d_model"]) -> Float[Tensor, "*batch_seq d_model"]:
        """What an activation of 1 writes at each token: its parts' directions, by their share in the activation."""
        mean = _mean_write(directions)
        if bool((directions == mean).all()):
            return mean
        by_part = self._subject.texts.activations(self._subject.described[unit].parts, self._ids.cpu().numpy())
        shares = torch.from_numpy(by_part).to(mean.device)
        total = shares.sum(dim=0)[..., None]
        mixed = torch.einsum("pbs,pd->bsd", shares, directions) / torch.where(total == 0, 1.0, total)
        return torch.where(total == 0, mean, mixed)


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


def _artificial(subject: PlantedSubject) -> dict[Unit, ArtificialUnit]:
    """The nulls and controls by address."""
    base, suite = subject.base, subject.suite
    found: dict[Unit, ArtificialUnit] = {}
    rotated: dict[int, list[Unit]] = {}
    for at, unit in subject.described.items():
        kind, _, source = (unit.null or unit.control).partition(":")
        try:
            if kind == "noise":
                found[at] = nulls.NoiseUnit(unit=at, seed=suite.seed)
            elif kind == "shuffled":
                found[at] = nulls.shuffled(base, at, Unit.parse(source), seed=suite.seed)
            elif kind == "redrawn":
                found[at] = nulls.redrawn(base, at, Unit.parse(source), seed=suite.seed)
            elif kind == "rotated":
                rotated.setdefault(at.layer, []).append(at)
        except UsageError as error:
            raise UsageError(f"{suite.origin}: unit {unit.id!r}: {error}") from None
    for units in rotated.values():
        found |= {control.unit: control for control in nulls.rotated(base, sorted(units), seed=suite.seed)}
    return found


def _writes(unit: SuiteUnit) -> bool:
    return any(part.writes for part in unit.parts)


def _written(base: Subject, unit: SuiteUnit) -> Float[Tensor, "part d_model"]:
    """The direction that each part writes; zero for a part that writes nothing."""
    unembedding = cast(Tensor, base.parts.unembed.weight)
    rows = [
        unembedding[_token(base, unit, p.writes)] if p.writes else unembedding.new_zeros(base.d_model)
        for p in unit.parts
    ]
    return torch.stack(rows).float()


def _token(base: Subject, unit: SuiteUnit, text: str) -> int:
    ids = base.tokenize(text).ids
    if len(ids) != 1:
        raise UsageError(
            f"unit {unit.id!r}: writes {text!r}, which is {len(ids)} tokens of {base.name}; give one, with its space"
        )
    return ids[0]


def _mean_write(directions: Float[Tensor, "part d_model"]) -> Float[Tensor, " d_model"]:
    return directions[directions.any(dim=1)].mean(dim=0)


def _hash64(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8])
