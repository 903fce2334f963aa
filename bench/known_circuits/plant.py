"""Paths planted in a real subject: a few directions of its stream are reserved, and weights are set
that use them.

1. `reserve` draws k orthonormal directions among those in which least stands on some text, and
   closes them: no component writes along them any more, and none reads them. W_out <- (I - S^T S)
   W_out, and W_in <- W_in (I - P) with P on the span of g * s, where g is the norm's scale. That
   takes k of d_model dimensions from the subject, for good: plant into one that is not used again.
   Loss of SmolLM2-135M on news, nine directions: 4.17 before, 4.27 after, and 7.00 had they been
   drawn among all.
2. Reading s exactly is the row s / g: (s / g) . (g * x / rms) = s . x / rms, whatever else is in
   the stream.
3. A planted head has its group's key and value to itself: the group's other heads are silenced. It
   attends to where its key direction is and writes one number along one direction; queries and keys
   live in the pair of coordinates that rotates least, so that distance does not count. A planted
   neuron is silu(a z) b z of one direction z.
4. `Planting` keeps every row, column and slice that it sets, and puts them back at the end,
   whatever happens.

What nobody else writes or reads can go nowhere but along the planted edges. One way is left: the
norm. Planted values therefore have one size in both prompts of a pair, so that norms differ only as
far as they did before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ...tools.circuits.circuit_model import WIRINGS, CircuitModel
from ...tools.circuits.forward_record import record
from ...tools.circuits.selftest import open_circuit_model
from ...tools.errors import UsageError
from ...tools.subject import Subject
from ...tools.subject.architectures import matrix, norm_scale

Reading = Float[Tensor, " direction"]
"""A sum of the reserved directions, by number."""
QUIET = 9
"""Directions are drawn among so much of the stream, its quietest ninth."""
FAMILIES = ("llama", "mistral")
"""Gated MLPs, separate projections, norms without a mean, and no biases."""


@dataclass(frozen=True, eq=False)
class Reserved:
    """A subject with directions of its stream that nothing in it writes or reads.

    Attributes:
        directions: orthonormal.
    """

    model: CircuitModel
    directions: Float[Tensor, "direction d_model"]

    @property
    def subject(self) -> Subject:
        """The subject, changed."""
        return self.model.subject


def reserve(subject: Subject, n: int, seed: int, ids: Int[Tensor, "rows seq"]) -> Reserved:
    """Close n directions of a subject's stream. It is changed for good: load it anew to use it for
    anything else.

    Args:
        ids: text on which it is seen where the stream is quiet.

    Raises:
        UsageError: a family that this is not written for.
    """
    model_type = subject.architecture.model_type
    if model_type not in FAMILIES or any(
        getattr(m, "bias", None) is not None for m in _projections(subject, 0)
    ):
        raise UsageError(
            f"no paths can be planted in {subject.name!r}, of type {model_type!r}: this is written for "
            f"{', '.join(FAMILIES)}, without biases"
        )
    with torch.no_grad():
        directions = _quiet(open_circuit_model(subject), n, seed, ids)
        for layer in range(subject.shape.n_layers):
            _close(subject, layer, directions)
        embedding = cast(Tensor, subject.model.get_input_embeddings().weight)
        embedding -= (embedding @ directions.T) @ directions
    return Reserved(open_circuit_model(subject), directions)


def _quiet(
    model: CircuitModel, n: int, seed: int, ids: Int[Tensor, "rows seq"]
) -> Float[Tensor, "direction d_model"]:
    """Directions drawn among those that carry least of what stands in the stream, and of what each
    norm lets through.

    A reader loses s . (g * x) when s is closed, once more scaled by g as the row that is taken from
    it: s . (g^2 * x).
    """
    subject, found = model.subject, record(model, ids, lambda logits: logits.sum(-1))
    norms = [(found.stream[len(model.readers)], subject.parts.final_norm)]
    for layer, joints in enumerate(model.readers):
        norms += [
            (found.stream[layer], joints.attention_norm),
            (found.middle[layer], joints.mlp_norm),
        ]
    spread = torch.zeros(subject.d_model, subject.d_model, dtype=torch.float64)
    for stream, norm in norms:
        scale = norm_scale(norm, subject.architecture.norm)
        for value in (stream, stream * scale**2):
            rows = value.flatten(0, 1).cpu().double()
            rows = rows / rows.norm(dim=1, keepdim=True)
            spread += rows.T @ rows
    quiet = torch.linalg.eigh(spread).eigenvectors[:, : max(n, subject.d_model // QUIET)]
    drawn = torch.randn(
        quiet.shape[1], n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return (quiet @ torch.linalg.qr(drawn).Q).T.to(subject.device, subject.dtype)


def _projections(subject: Subject, layer: int) -> list[Any]:
    parts = subject.parts.layers[layer]
    attention = [
        _named(parts.whole, path) for path in WIRINGS[subject.architecture.model_type].projections
    ]
    return [*attention, *parts.mlp_rows, parts.attention_out, parts.mlp_down]


def _named(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module


def _close(subject: Subject, layer: int, directions: Float[Tensor, "direction d_model"]) -> None:
    parts, wiring = subject.parts.layers[layer], WIRINGS[subject.architecture.model_type]
    kind = subject.architecture.norm
    for norm, readers in (
        (wiring.attention_norm, [_named(parts.whole, path) for path in wiring.projections]),
        (wiring.mlp_norm, list(parts.mlp_rows)),
    ):
        seen = directions * norm_scale(_named(parts.whole, norm), kind)
        basis = torch.linalg.qr(seen.T.double()).Q.to(subject.dtype)
        for reader in readers:
            reader.weight -= (reader.weight @ basis) @ basis.T
    for writer in (parts.attention_out, parts.mlp_down):
        weight = matrix(writer)
        weight -= directions.T @ (directions @ weight)


class Planting:
    """Weights that are set for a while; one is made by `planting`."""

    def __init__(self, reserved: Reserved, stack: ExitStack) -> None:
        self.reserved, self.subject, self._stack = reserved, reserved.subject, stack

    def head(
        self, layer: int, head: int, query: Reading, key: Reading, value: Reading, writes: int
    ) -> None:
        """Set a head that looks from where `query` is to where `key` is, and writes `value` of there along `writes`."""
        model, width = self.reserved.model, self.subject.head_dim
        group = model.graph.n_heads // model.graph.n_kv_heads
        q, k, v = map(matrix, model.readers[layer].projections)
        rows = self._rows(model.readers[layer].attention_norm)
        still = width // 2 - 1  # of the pair (still, still + width / 2), which rotates least
        self._set(q, head * width, still, query @ rows)
        self._set(k, head // group * width, still, key @ rows)
        self._set(v, head // group * width, 0, value @ rows)
        output = matrix(self.subject.parts.layers[layer].attention_out)
        first = head // group * group * width
        self._keep(columns := output[:, first : first + group * width])
        columns.zero_()
        output[:, head * width] = self._directions[writes]

    def neuron(self, layer: int, neuron: int, gate: Reading, up: Reading, writes: int) -> None:
        """Set a neuron that writes silu(gate) up along `writes`."""
        parts, rows = (
            self.subject.parts.layers[layer],
            self._rows(self.reserved.model.readers[layer].mlp_norm),
        )
        for reader, reading in zip(parts.mlp_rows, (gate, up), strict=True):
            row = cast(Tensor, reader.weight)[neuron]
            self._keep(row)
            row.copy_(reading @ rows)
        self._keep(column := matrix(parts.mlp_down)[:, neuron])
        column.copy_(self._directions[writes])

    def answers(self, answer: int, foil: int, reading: Reading) -> None:
        """Let what is read in the last stream raise one token's logit and lower another's."""
        unembed, norm = (
            cast(Tensor, self.subject.parts.unembed.weight),
            self.subject.parts.final_norm,
        )
        seen = self._directions * norm_scale(norm, self.subject.architecture.norm)
        basis = torch.linalg.qr(seen.T.double()).Q.to(self.subject.dtype)
        for token, sign in ((answer, 1), (foil, -1)):
            self._keep(row := unembed[token])
            row -= basis @ (basis.T @ row)
            row += sign * (reading @ self._rows(norm))

    def mark(self, token: int, lengths: Reading) -> None:
        """Add directions to a token's embedding."""
        self._keep(row := cast(Tensor, self.subject.model.get_input_embeddings().weight)[token])
        row += lengths @ self._directions

    @property
    def _directions(self) -> Float[Tensor, "direction d_model"]:
        return self.reserved.directions

    def _rows(self, norm: nn.Module) -> Float[Tensor, "direction d_model"]:
        """What reads each direction behind a norm."""
        return self._directions / norm_scale(norm, self.subject.architecture.norm)

    def _set(self, weight: Tensor, first: int, at: int, row: Tensor) -> None:
        """A head's rows of a projection: all 0 but one."""
        self._keep(rows := weight[first : first + self.subject.head_dim])
        rows.zero_()
        rows[at] = row

    def _keep(self, view: Tensor) -> None:
        self._stack.callback(view.copy_, view.clone())


@contextmanager
def planting(reserved: Reserved) -> Iterator[Planting]:
    """Set weights within the block; afterwards they are what they were, after an exception too."""
    with torch.no_grad(), ExitStack() as stack:
        yield Planting(reserved, stack)
