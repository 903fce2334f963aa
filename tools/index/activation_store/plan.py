"""Which arrays a store has, for a subject: measured on a few contexts before the pass.

1. A layer's neurons must follow from the input of its MLP, as stored.
2. The residual stream after a layer is stored only where it does not follow from that input and the
   norm's statistics: families that run attention and MLP side by side, and layers in which planted
   units write.
3. With 8 bits, a layer of which some neuron's activations would correlate too little with the true
   ones is stored with 16.
4. Losses are stored if all layers are, and if the logits follow from the last layer's stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...subject.address import Site
from ...subject.subject import Subject
from .balance import balanced, unbalanced
from .encoding import decode, encode
from .layout import Encoding, StoredArray

TOLERANCE = 0.02
"""Relative error that is allowed: at 0.02 a unit's activations correlate by 0.9998 with the true ones.
float16 has 0.0005."""
TOLERANCE_IN_8 = 0.01
"""Relative error of a stream that follows from 8 bits, on the plan's sample. On other text activations
along the worst of 256 random directions then correlated by 0.9986 to 0.9999 with the true ones."""
StoreBits = Literal[8, 16]
"""Bits of each number of an MLP's input."""
MIN_R = 0.9995
"""Lowest correlation of a neuron's activations from 8 bits with the true ones."""
SPARE = 0.8
"""Share of the allowed loss of correlation that a sample of about a thousand tokens may show."""


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
        notes: a line about each thing that is left out, or not stored as was asked.
        bits: that were asked for.
    """

    layers: dict[int, LayerArrays]
    loss: StoredArray | None
    notes: tuple[str, ...]
    bits: StoreBits

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
def plan_store(
    subject: Subject,
    ids: Int[Tensor, "batch seq"],
    layers: Sequence[int],
    bits: StoreBits = 16,
) -> StorePlan:
    """Plan a store of some layers.

    Args:
        ids: a few contexts without padding; a thousand tokens for 8 bits.
        bits: of each number of an MLP's input, where the error allows.
    """
    arrays: dict[int, LayerArrays] = {}
    notes: list[str] = []
    values: dict[str, Tensor] = {}

    def consume(site: Site, value: Float[Tensor, "batch seq width"]) -> None:
        values[site.kind] = value
        if site.kind == "stream":  # the last of its layer
            planned = _plan_layer(subject, ids, site.layer, values, "float16")
            if bits == 8 and not isinstance(planned, str):
                smaller = _plan_layer(subject, ids, site.layer, values, "int8")
                if isinstance(smaller, str):
                    notes.append(f"layer {site.layer} is stored in 16 bits: in 8, {smaller}")
                elif planned.norm and not smaller.norm:
                    notes.append(
                        f"layer {site.layer} is stored in 16 bits: in 8, the residual stream would "
                        f"be off by more than {TOLERANCE_IN_8:.0%}"
                    )
                else:
                    planned = smaller
            values.clear()
            if isinstance(planned, str):
                notes.append(f"layer {site.layer} is not stored: {planned}")
            else:
                arrays[site.layer] = planned

    sites: list[Site] = []
    for layer in layers:
        has_norm = subject.parts.layers[layer].mlp_norm is not None
        sites += [Site("mid", layer)] * has_norm
        sites += [Site("mlp_in", layer), Site("mlp", layer), Site("stream", layer)]
    subject.stream(ids, sites, consume)
    loss = None
    if len(arrays) == subject.shape.n_layers:
        last = Site("stream", subject.shape.n_layers - 1)
        capture = subject.capture(ids[:1], [last], logits=True)
        assert capture.logits is not None  # requested
        if _is_close(subject.logits_from(capture.activations[last]), capture.logits):
            loss = StoredArray("loss", None, 2, "float32")
        else:
            notes.append("losses are not stored: the logits do not follow from the last layer")
    return StorePlan(arrays, loss, tuple(notes), bits)


def _plan_layer(
    subject: Subject,
    ids: Int[Tensor, "batch seq"],
    layer: int,
    values: Mapping[str, Tensor],
    encoding: Encoding,
) -> LayerArrays | str:
    """The arrays of a layer, or why it has none.

    Args:
        values: at the layer's sites, by kind.
        encoding: of the MLP's input.
    """
    mlp_in = values["mlp_in"]
    array = StoredArray("mlp_in", layer, subject.d_model, encoding)
    stored = _as_stored(subject, mlp_in, array)
    if stored is None:
        return "its MLP's input has numbers that are not finite or beyond float16"
    neurons = subject.neurons_from(layer, stored, ids)
    if not _is_close(neurons, values["mlp"]):
        return "its neurons do not follow from its MLP's input"
    if encoding == "int8" and (r := _lowest_r(neurons, values["mlp"])) < 1 - SPARE * (1 - MIN_R):
        return f"the activations of a neuron would correlate by {r:.5f} with the true ones"
    norm = None
    if "mid" in values and not subject.writes_besides_mlp(layer):
        statistics = subject.norm_statistics(layer, values["mid"], mlp_in)
        stream = subject.stream_from(layer, stored, statistics)
        tolerance = TOLERANCE_IN_8 if encoding == "int8" else TOLERANCE
        if _is_close(stream, values["stream"], tolerance):
            norm = StoredArray("norm", layer, statistics.shape[-1], "float32")
    return LayerArrays(
        array,
        norm,
        None if norm else StoredArray("stream", layer, subject.d_model, "float16"),
        StoredArray("head", layer, subject.shape.n_heads, "float16"),
    )


def _as_stored(
    subject: Subject, mlp_in: Float[Tensor, "batch seq d_model"], array: StoredArray
) -> Float[Tensor, "batch seq d_model"] | None:
    """What a store would give back of all positions that count; None if it cannot hold them."""
    assert array.layer is not None  # an MLP's input
    counted, small = mlp_in[:, 1:], array.encoding == "int8"
    values = balanced(subject, array.layer, counted) if small else counted
    encoded = encode(values.flatten(0, 1), array)
    if encoded is None:
        return None
    decoded = decode(array.rows(encoded.reshape(-1)), array).to(mlp_in.device)
    decoded = unbalanced(subject, array.layer, decoded) if small else decoded
    return torch.cat([mlp_in[:, :1].float(), decoded.reshape(counted.shape)], dim=1)


def _lowest_r(
    values: Float[Tensor, "batch seq neuron"], expected: Float[Tensor, "batch seq neuron"]
) -> float:
    """The lowest correlation of a neuron, among those that are not constant."""
    pair = (tensor[:, 1:].float().flatten(0, 1) for tensor in (values, expected))
    values, expected = (rows - rows.mean(dim=0) for rows in pair)
    norms = values.norm(dim=0) * expected.norm(dim=0)
    varies = norms > 0
    r = (values * expected).sum(dim=0)[varies] / norms[varies]
    return float(r.min()) if len(r) else 1.0


def _is_close(
    values: Float[Tensor, "batch seq width"],
    expected: Float[Tensor, "batch seq width"],
    tolerance: float = TOLERANCE,
) -> bool:
    """Whether the values agree at the positions that count."""
    values, expected = values[:, 1:].float(), expected[:, 1:].float()
    return bool((values - expected).norm() <= tolerance * expected.norm())
