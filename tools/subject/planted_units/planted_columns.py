"""The columns of planted units in one forward pass.

1. The values that the text alone decides are computed before the pass begins, since some need
   passes of their own (see `shuffle_table`).
2. `append` puts a layer's columns after its neurons; controls are computed here, from what the
   layer captured.
3. Interventions edit the columns as they edit neurons; the edited columns are remembered.
4. After the layer, units that write add their directions times these values to the stream.
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
    """Columns for some token ids.

    Args:
        units: those of each layer, in the order of their columns.
        mlp_in: the input of layers' MLPs, where no pass is run that remembers them.
    """

    def __init__(
        self,
        values: UnitValues,
        writes: UnitWrites,
        ids: Int[Tensor, "batch seq"],
        units: Mapping[int, list[Unit]],
        mlp_in: Mapping[int, Float[Tensor, "batch seq d_model"]] | None = None,
    ) -> None:
        self._values, self._writes, self._ids, self._units = values, writes, ids, units
        self._mlp_in = dict(mlp_in or {})
        self._edited: dict[int, Tensor] = {}
        # 1. Controls are still zero in these.
        self._columns = {layer: self._from_text(of_layer) for layer, of_layer in units.items()}

    def _from_text(self, units: Sequence[Unit]) -> Float[Tensor, "batch seq unit"]:
        columns = np.zeros((*self._ids.shape, len(units)), np.float32)
        from_text = [i for i, unit in enumerate(units) if not self._values.sources(unit)]
        if from_text:
            values = self._values.of([units[i] for i in from_text], self._ids.cpu().numpy())
            columns[..., from_text] = np.moveaxis(values, 0, -1)
        return torch.from_numpy(columns).to(self._ids.device)

    def append(
        self, site: Site, value: Float[Tensor, "batch seq width"]
    ) -> Float[Tensor, "batch seq wide"]:
        """Put the layer's columns after its neurons."""
        if site.kind != "mlp" or site.layer not in self._units:
            return value
        columns = self._columns[site.layer].to(value)
        # 2. Only redrawn controls use the MLP's input, which is remembered for them.
        mlp_in = self._mlp_in.get(site.layer, value)
        captured = {site: value, Site("mlp_in", site.layer): mlp_in}
        for i, unit in enumerate(self._units[site.layer]):
            if self._values.sources(unit):
                control = self._values.artificial[unit].values(captured, self._ids)
                columns[..., i] = control.to(value)
        return torch.cat([value, columns], dim=-1)

    def edits(self) -> list[tuple[Site, Edit]]:
        """Edits that remember what controls and writes need, and edits that write."""
        edits: list[tuple[Site, Edit]] = []
        for layer, units in self._units.items():
            if any(isinstance(self._values.artificial.get(unit), RedrawnUnit) for unit in units):
                edits.append((Site("mlp_in", layer), self._remember_input(layer)))
            if any(unit in self._writes for unit in units):
                edits.append((Site("mlp", layer), self._remember_columns(layer)))
                edits.append((Site("stream", layer), self._write(layer)))
        return edits

    def _remember_input(self, layer: int) -> Edit:
        def edit(value: Tensor) -> None:
            self._mlp_in[layer] = value

        return edit

    def _remember_columns(self, layer: int) -> Edit:  # 3.
        def edit(value: Tensor) -> None:
            self._edited[layer] = value[..., -len(self._units[layer]) :]

        return edit

    def _write(self, layer: int) -> Edit:  # 4.
        def edit(value: Tensor) -> None:
            for i, unit in enumerate(self._units[layer]):
                if unit in self._writes:
                    strength = self._edited[layer][..., i, None].to(value)
                    value += strength * self._writes.at_tokens(unit, self._ids).to(value)

        return edit
