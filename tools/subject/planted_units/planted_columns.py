"""The planted columns of one forward pass: put behind a layer's neurons, remembered, and written
into the stream.

All that the text decides is computed before the pass begins, since a table may need passes of its
own; controls are computed on the way, from what the layer captured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..address import Site, Unit
from ..capture import Edit
from ..nulls import RedrawnUnit
from .unit_values import UnitValues
from .unit_writes import UnitWrites


class PlantedColumns:
    """Columns for some token ids; `units` are those of each layer in the order of their columns."""

    def __init__(
        self,
        values: UnitValues,
        writes: UnitWrites,
        ids: Int[Tensor, "batch seq"],
        units: Mapping[int, list[Unit]],
    ) -> None:
        self._values, self._writes, self._ids, self._units = values, writes, ids, units
        self._inputs: dict[int, Tensor] = {}
        self._edited: dict[int, Tensor] = {}
        self._columns = {layer: self._from_text(some) for layer, some in units.items()}

    def _from_text(self, units: Sequence[Unit]) -> Float[Tensor, "batch seq unit"]:
        columns = np.zeros((*self._ids.shape, len(units)), np.float32)
        chosen = [(at, unit) for at, unit in enumerate(units) if not self._values.sources(unit)]
        if chosen:
            found = self._values.of([unit for _, unit in chosen], self._ids.cpu().numpy())
            columns[..., [at for at, _ in chosen]] = np.moveaxis(found, 0, -1)
        return torch.from_numpy(columns).to(self._ids.device)

    def widen(
        self, site: Site, value: Float[Tensor, "batch seq width"]
    ) -> Float[Tensor, "batch seq wide"]:
        """Put the layer's columns behind its neurons."""
        if site.kind != "mlp" or site.layer not in self._units:
            return value
        columns = self._columns[site.layer].to(value.dtype)
        for at, unit in enumerate(self._units[site.layer]):
            if self._values.sources(unit):
                captured = {
                    site: value,
                    Site("mlp_in", site.layer): self._inputs.get(site.layer, value),
                }
                columns[..., at] = (
                    self._values.artificial[unit].values(captured, self._ids).to(value.dtype)
                )
        return torch.cat([value, columns], dim=-1)

    def edits(self) -> list[tuple[Site, Edit]]:
        """Edits that remember what controls need and what units write, and those that write."""
        found: list[tuple[Site, Edit]] = []
        for layer, units in self._units.items():
            if any(isinstance(self._values.artificial.get(unit), RedrawnUnit) for unit in units):
                found.append((Site("mlp_in", layer), self._remember_input(layer)))
            if any(unit in self._writes for unit in units):
                found += [
                    (Site("mlp", layer), self._remember(layer)),
                    (Site("stream", layer), self._write(layer)),
                ]
        return found

    def _remember_input(self, layer: int) -> Edit:
        def edit(value: Tensor) -> None:
            self._inputs[layer] = value

        return edit

    def _remember(self, layer: int) -> Edit:
        def edit(value: Tensor) -> None:
            self._edited[layer] = value[..., -len(self._units[layer]) :]

        return edit

    def _write(self, layer: int) -> Edit:
        def edit(value: Tensor) -> None:
            for at, unit in enumerate(self._units[layer]):
                if unit in self._writes:
                    strength = self._edited[layer][..., at, None].to(value.dtype)
                    value += strength * self._writes.at_tokens(unit, self._ids).to(value.dtype)

        return edit
