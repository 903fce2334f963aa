"""Which arrays a store has, for a subject: measured on a few contexts before the pass.

1. A layer's neurons must follow from the input of its MLP, as stored.
2. The residual stream after a layer is stored only where it does not follow from that input and the
   norm's statistics: families that run attention and MLP side by side, and layers in which planted
   units write.
3. Losses are stored if all layers are, and if the logits follow from the last layer's stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...subject.address import Site
from ...subject.subject import Subject
from .layout import StoredArray

TOLERANCE = 0.02
"""Relative error that is allowed: at 0.02 a unit's activations correlate by 0.9998 with the true ones.
float16 has 0.0005."""


class LayerArrays(NamedTuple):
    """What is stored of a layer; a layer without `mlp_in` is not stored."""

    mlp_in: StoredArray
    norm: StoredArray | None
    stream: StoredArray | None
    head: StoredArray


@dataclass(frozen=True)
class StorePlan:
    """The arrays of a store.

    Attributes:
        notes: a line about each thing that is left out.
    """

    layers: dict[int, LayerArrays]
    loss: StoredArray | None
    notes: tuple[str, ...]

    @property
    def arrays(self) -> list[StoredArray]:
        """All arrays."""
        of_layers = [array for arrays in self.layers.values() for array in arrays if array]
        return of_layers + ([self.loss] if self.loss else [])

    @property
    def bytes_a_token(self) -> int:
        """Bytes that a token takes."""
        return sum(array.row_bytes for array in self.arrays)


@torch.inference_mode()
def plan_store(subject: Subject, ids: Int[Tensor, "batch seq"], layers: Sequence[int]) -> StorePlan:
    """Plan a store of some layers.

    Args:
        ids: a few contexts without padding.
    """
    arrays: dict[int, LayerArrays] = {}
    notes: list[str] = []
    for layer in layers:
        sites = [Site(kind, layer) for kind in ("mlp_in", "mlp", "stream")]
        has_norm = subject.parts.layers[layer].mlp_norm is not None
        values = subject.capture(ids, sites + [Site("mid", layer)] * has_norm).activations
        mlp_in = values[Site("mlp_in", layer)]
        if mlp_in.abs()[:, 1:].max() > torch.finfo(torch.float16).max:
            notes.append(f"layer {layer} is not stored: its MLP's input is beyond float16")
            continue
        stored = mlp_in.half().float()
        neurons = subject.neurons_from(layer, stored, ids)
        if not _is_close(neurons, values[Site("mlp", layer)]):
            notes.append(
                f"layer {layer} is not stored: its neurons do not follow from its MLP's input"
            )
            continue
        norm = None
        if has_norm and not subject.writes_besides_mlp(layer):
            statistics = subject.norm_statistics(layer, values[Site("mid", layer)], mlp_in)
            stream = subject.stream_from(layer, stored, statistics)
            if _is_close(stream, values[Site("stream", layer)]):
                norm = StoredArray("norm", layer, statistics.shape[-1], "float32")
        arrays[layer] = LayerArrays(
            StoredArray("mlp_in", layer, subject.d_model, "float16"),
            norm,
            None if norm else StoredArray("stream", layer, subject.d_model, "float16"),
            StoredArray("head", layer, subject.shape.n_heads, "float16"),
        )
    loss = None
    if len(arrays) == subject.shape.n_layers:
        last = Site("stream", subject.shape.n_layers - 1)
        capture = subject.capture(ids[:1], [last], logits=True)
        assert capture.logits is not None  # requested
        if _is_close(subject.logits_from(capture.activations[last]), capture.logits):
            loss = StoredArray("loss", None, 2, "float32")
        else:
            notes.append("losses are not stored: the logits do not follow from the last layer")
    return StorePlan(arrays, loss, tuple(notes))


def _is_close(
    values: Float[Tensor, "batch seq width"], expected: Float[Tensor, "batch seq width"]
) -> bool:
    """Whether the values agree at the positions that count."""
    values, expected = values[:, 1:].float(), expected[:, 1:].float()
    return bool((values - expected).norm() <= TOLERANCE * expected.norm())
