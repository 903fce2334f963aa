"""A placed program's weights in named coordinates, before any rotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .layout import Placement, coordinates
from .program import Attend, NamedSubspace, Steps

CONSTANT = 1e4
"""Norm of the stream's constant part. The rest has a norm below 10, so that LayerNorm changes its
scale by less than 1e-6."""
SHARPNESS = 30.0
"""Difference of attention scores between a match and none: e^-15 of the weight stays on the wrong side of a rest."""
LOGIT = 10.0
"""Logit of a right answer; all others have 0."""


@dataclass(eq=False)
class Weights:
    """All weights; the axis "stream" holds named coordinates, of which the first is the constant."""

    embed: Float[np.ndarray, "token stream"]
    place: Float[np.ndarray, "position stream"]
    q: Float[np.ndarray, "layer head row stream"]
    k: Float[np.ndarray, "layer head row stream"]
    v: Float[np.ndarray, "layer head row stream"]
    o: Float[np.ndarray, "layer head stream row"]
    step_in: Float[np.ndarray, "layer neuron stream"]
    step_bias: Float[np.ndarray, "layer neuron"]
    step_out: Float[np.ndarray, "layer stream neuron"]
    out_bias: Float[np.ndarray, "layer stream"]
    unembed: Float[np.ndarray, "token stream"]
    coordinates: dict[NamedSubspace, slice]

    @property
    def size(self) -> int:
        """Named coordinates."""
        return self.embed.shape[1]

    def widen(self, n: int) -> slice:
        """Add coordinates that nothing reads or writes yet."""
        first = self.size
        for name, axis in _STREAM_AXES.items():
            value = getattr(self, name)
            pads = [(0, n if at == axis % value.ndim else 0) for at in range(value.ndim)]
            setattr(self, name, np.pad(value, pads))
        return slice(first, first + n)

    def add_neurons(self, n: int) -> slice:
        """Add neurons to every layer."""
        first = self.step_in.shape[1]
        self.step_in = np.pad(self.step_in, [(0, 0), (0, n), (0, 0)])
        self.step_bias = np.pad(self.step_bias, [(0, 0), (0, n)])
        self.step_out = np.pad(self.step_out, [(0, 0), (0, 0), (0, n)])
        return slice(first, first + n)

    def put(self, model: Any, rotation: Float[Tensor, "d_model stream"]) -> None:
        """Write the weights into a GPT-2 of zeros; `rotation` has orthonormal columns."""
        turned = {
            name: torch.from_numpy(value)
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        model.transformer.wte.weight.copy_(turned["embed"] @ rotation.T)
        model.transformer.wpe.weight.copy_(turned["place"] @ rotation.T)
        model.lm_head.weight.copy_(turned["unembed"] @ rotation.T)
        for layer, block in enumerate(model.transformer.h):
            head_dim = block.attn.head_dim
            scaled = {"q": turned["q"] * head_dim**0.5, "k": turned["k"], "v": turned["v"]}
            rows = [
                _padded(scaled[part][layer], head_dim).flatten(0, 1) @ rotation.T for part in "qkv"
            ]
            block.attn.c_attn.weight.copy_(torch.cat(rows).T)
            out = _padded(turned["o"][layer].mT, head_dim).flatten(0, 1)  # head-and-row stream
            block.attn.c_proj.weight.copy_(out @ rotation.T)
            block.mlp.c_fc.weight.copy_((turned["step_in"][layer] @ rotation.T).T)
            block.mlp.c_fc.bias.copy_(turned["step_bias"][layer])
            block.mlp.c_proj.weight.copy_((rotation @ turned["step_out"][layer]).T)
            block.mlp.c_proj.bias.copy_(rotation @ turned["out_bias"][layer])


_STREAM_AXES = {"embed": 1, "place": 1, "q": -1, "k": -1, "v": -1, "o": 2, "step_in": 2, "step_out": 1, "out_bias": 1,
                "unembed": 1}  # fmt: skip


def _padded(
    rows: Float[Tensor, "head row stream"], head_dim: int
) -> Float[Tensor, "head head_dim stream"]:
    return torch.nn.functional.pad(rows, (0, 0, 0, head_dim - rows.shape[1]))


def program_weights(placement: Placement) -> Weights:
    """The program alone: no distractors, no noise."""
    program = placement.program
    at = coordinates(
        [*program.inputs, *(operation.out for operation in program.operations)], first=1
    )
    weights = _empty(placement, at)
    weights.embed[: program.letters + 1, at[program.token]] = np.eye(program.letters + 1)
    weights.place[:, 0] = CONSTANT
    weights.place[:, at[program.position]] = np.eye(program.length)
    weights.place[0, at[program.start]] = 1
    weights.place[:, at[program.one]] = 1
    neurons: dict[int, int] = {}
    for operation, node in placement.nodes.items():
        if isinstance(operation, Attend):
            _put_head(weights, operation, node.layer, node.head)
        else:
            neurons[node.layer] = _put_steps(
                weights, operation, node.layer, neurons.get(node.layer, 0)
            )
    assert program.result is not None  # placed with its truth
    weights.unembed[program.first_answer :, at[program.result]] = LOGIT * np.eye(
        program.result.size
    )
    return weights


def _empty(placement: Placement, at: dict[NamedSubspace, slice]) -> Weights:
    program, size = placement.program, 1 + sum(variable.size for variable in at)
    layers, heads, rows = placement.n_layers, placement.n_heads, placement.head_dim
    assert program.result is not None
    vocabulary = program.first_answer + program.result.size
    neurons = max(8, *(_neurons(placement, layer) for layer in range(layers)))
    shapes = {
        "embed": (vocabulary, size),
        "place": (program.length, size),
        **dict.fromkeys("qkv", (layers, heads, rows, size)),
        "o": (layers, heads, size, rows),
        "step_in": (layers, neurons, size),
        "step_bias": (layers, neurons),
        "step_out": (layers, size, neurons),
        "out_bias": (layers, size),
        "unembed": (vocabulary, size),
    }
    return Weights(**{name: np.zeros(shape) for name, shape in shapes.items()}, coordinates=at)


def _neurons(placement: Placement, layer: int) -> int:
    steps = [
        o for o, node in placement.nodes.items() if isinstance(o, Steps) and node.layer == layer
    ]
    return sum(2 * len(operation.thresholds) for operation in steps)


def _put_head(weights: Weights, head: Attend, layer: int, slot: int) -> None:
    at, row = weights.coordinates, 0
    for term in head.terms:
        rows = slice(row, row + term.key.size)
        weights.q[layer, slot, rows, at[term.query]] += SHARPNESS * term.table.T
        weights.k[layer, slot, rows, at[term.key]] += np.eye(term.key.size)
        row += term.key.size
    rows = slice(0, head.value.size)
    weights.v[layer, slot, rows, at[head.value]] = np.eye(head.value.size)
    weights.o[layer, slot, at[head.out], rows] = np.eye(head.value.size)


def _put_steps(weights: Weights, steps: Steps, layer: int, first: int) -> int:
    """Two neurons per step: relu(x) - relu(x - 1) is 0, a ramp, and 1. Returns the next free neuron."""
    at, n = weights.coordinates, len(steps.thresholds)
    reads = np.concatenate([np.arange(weights.size)[at[variable]] for variable in steps.inputs])
    for half in (0, 1):
        neurons = np.arange(first + half * n, first + (half + 1) * n)
        weights.step_in[layer, neurons[:, None], reads] = steps.weights / steps.width[:, None]
        weights.step_bias[layer, neurons] = 0.5 - half - steps.thresholds / steps.width
        weights.step_out[layer, at[steps.out], neurons[0] : neurons[-1] + 1] = (
            1 - 2 * half
        ) * steps.read_out
    weights.out_bias[layer, at[steps.out]] = steps.base
    return first + 2 * n
