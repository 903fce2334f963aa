"""What a unit's activation at a token is made of: direct contributions through the residual stream,
which add up.

1. The stream that the unit reads is a sum: embedding + what every earlier head and MLP wrote +
   output biases.
2. With the norm's scale held at the value that it has here, the norm is linear; so is a projection
   row. Hence the neuron's pre-activation is a sum of one number for each part: the gate's, and of a
   gated MLP the up branch's too. (A named direction is read off the stream without a norm: one
   sum.)
3. The activation f(gate) * up is not linear, so parts are ranked by their first-order effect on it,
   f'(gate) * up * (their share of gate) + f(gate) * (their share of up); the shares themselves are
   exact.
4. An MLP's contribution is the sum of its neurons', listed apart. A head's is the sum over source
   tokens: its attention runs once more with the value of one source at a time, which is exact since
   z is linear in the values.

Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021), on direct paths; a
contribution through further units is not counted, so what is small here may still matter (`ablate`
or `patch` it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..errors import ArgumentError
from ..subject.address import Unit
from .input_texts import TokenizedText, tokenize_texts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import quote_text

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..circuits.circuit_model import CircuitModel
    from ..circuits.forward_record import ForwardRecord
    from ..subject import Subject

MOST_TOKENS = 256
"""Of a text; the attention of a listed head runs once for each."""
HEADS, SOURCES = 4, 3
"""Heads whose source tokens are looked up, and how many are listed of each."""


@dataclass(frozen=True)
class Contribution:
    """What one part adds.

    Attributes:
        part: "embedding", "biases", or the address of a head, an MLP (mlp.3) or a neuron (mlp.3.77).
        gate: share of the pre-activation that goes through the nonlinearity; None for a named direction.
        up: share of the up branch of a gated MLP, or of a direction's projection; None where there is neither.
        effect: on the activation, to first order.
        sources: of a head: the tokens that its effect comes from, with the effect of each.
    """

    part: str
    gate: float | None
    up: float | None
    effect: float
    sources: list[tuple[str, float]]


@dataclass(frozen=True)
class Upstream(Result):
    """What a unit's activation at a token is made of.

    Attributes:
        gate, up: the pre-activations that the shares of all parts add up to.
        parts: embedding, heads and MLPs with the largest effects; `rest`: the sum of all that are not listed.
        neurons: the single neurons with the largest effects; each is also in its MLP's part.
    """

    unit: str
    text: str
    position: int
    token: str
    activation: float
    gate: float | None
    up: float | None
    parts: list[Contribution]
    rest: Contribution
    neurons: list[Contribution]

    def render(self) -> str:
        branches = [
            f"{name} {value:+.3g}"
            for name, value in (("gate", self.gate), ("up", self.up))
            if value is not None
        ]
        head = f'{self.unit} is {self.activation:+.3g} at "{quote_text(self.token)}" ({", ".join(branches)}); '
        lines = [head + "effect of each part on it (first order), and its exact share of the sum:"]
        lines += [_line(part) for part in (*self.parts, self.rest)]
        return "\n".join(
            [*lines, "single neurons among these:", *map(_line, self.neurons)]
            if self.neurons
            else lines
        )


def _line(found: Contribution) -> str:
    shares = [
        f"{name} {value:+.3g}"
        for name, value in (("gate", found.gate), ("up", found.up))
        if value is not None
    ]
    source = ", ".join(f'"{quote_text(token)}" {effect:+.3g}' for token, effect in found.sources)
    return f"  {found.effect:+.3g} {found.part} ({', '.join(shares)})" + (
        f" from {source}" if source else ""
    )


@instrument("upstream", needs=("subject",))
def upstream(
    context: InstrumentContext,
    unit: UnitAddress,
    text: Text,
    focus: Annotated[
        str | None, Field(description="the token; default: where the unit is strongest")
    ] = None,
    k: Annotated[int, Field(ge=1, le=50, description="parts, and neurons, to list")] = 6,
) -> Upstream:
    """What feeds a neuron at a token: the embedding, and every earlier head, MLP and neuron.

    The shares of all parts add up to the pre-activation. A large embedding share means that the
    token itself is enough; a head's share comes from the tokens behind "from", which the unit
    depends on. Not for heads.
    """
    from ..circuits.selftest import open_circuit_model

    address, subject = Unit.parse(unit).unsided, context.require_subject()
    if address.site == "head" or address.index >= _own(subject, address):
        raise ArgumentError(
            f"upstream: not known for {str(address)!r}; ask for a neuron or a named direction"
        )
    subject.shape.column(address)
    (ready,) = tokenize_texts(subject, [text])
    if len(ready.ids) > MOST_TOKENS:
        raise ArgumentError(
            f"upstream: {len(ready.ids)} tokens given; at most {MOST_TOKENS}: cut the text"
        )
    model = open_circuit_model(subject)
    position = _position(subject, address, ready, focus)
    taken = _UpstreamPass(model, address, ready, position)
    return Upstream(str(address), text, position, ready.tokens[position], **taken.answer(k))


def _own(subject: Subject, unit: Unit) -> int:
    """How many neurons of the layer have weights."""
    from ..subject.architectures import matrix

    if unit.site == "resid" or unit.layer >= subject.shape.n_layers:
        return unit.index + 1
    return matrix(subject.parts.layers[unit.layer].mlp_down).shape[1]


def _position(subject: Subject, unit: Unit, text: TokenizedText, focus: str | None) -> int:
    from .input_texts import pad_token_ids

    among = text.positions(focus)
    values = subject.unit_activations(pad_token_ids([text]), [unit])[0, 0]
    return max(among, key=lambda i: abs(float(values[i])))


class _UpstreamPass:
    """One pass over a text, and how the unit reads each part of the stream at one position."""

    def __init__(self, model: CircuitModel, unit: Unit, text: TokenizedText, position: int) -> None:
        import torch

        from ..circuits.forward_record import record

        self.model, self.unit, self.text, self.position = model, unit, text, position
        self.calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self.ids = torch.tensor([text.ids])
        self.found: ForwardRecord = self._record(record)
        self.directions = (
            self._directions()
        )  # branch d_model: a part's share is its dot product with these
        self.weights = self._weights()

    def _record(self, record: Any) -> ForwardRecord:
        from ..circuits.hooks import temporary_hooks

        def keep(layer: int, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.calls[layer] = (args, kwargs)

        with temporary_hooks() as put:
            for layer, module in enumerate(self._attentions()):
                put.on_call(module, partial(keep, layer))
            return record(self.model, self.ids, lambda logits: logits.sum(-1))

    def _attentions(self) -> list[Any]:
        return [parts.attention_write for parts in self.model.subject.parts.layers]

    @property
    def gated(self) -> bool:
        """Whether two branches are multiplied."""
        return self.unit.site == "mlp" and len(self.directions) == 2

    def _directions(self) -> Float[Tensor, "branch d_model"]:
        """Rows of the unit's projections with the frozen norm folded in."""
        import torch

        from ..subject.architectures import norm_scale
        from .neuron_weights import read_directions

        subject = self.model.subject
        if self.unit.site == "resid":
            return subject.directions[self.unit.layer][self.unit.name][None].double()
        rows = torch.stack(
            [m[self.unit.index] for m in read_directions(subject, self.unit.layer)]
        ).double()
        joints, family = self.model.readers[self.unit.layer], subject.architecture.norm
        stream = self._read_from().double()
        if family == "layer":
            stream = stream - stream.mean()
        epsilon = getattr(joints.mlp_norm, "eps", None) or getattr(
            joints.mlp_norm, "variance_epsilon", 0.0
        )
        scaled = (
            rows
            * norm_scale(joints.mlp_norm, family).double()
            / (stream.square().mean() + float(epsilon)).sqrt()
        )
        return (
            scaled - scaled.mean(-1, keepdim=True) if family == "layer" else scaled
        )  # the centring, folded in too

    def _read_from(self) -> Float[Tensor, " d_model"]:
        """The stream that the unit reads, at its position."""
        found, layer = self.found, self.unit.layer
        if self.unit.site == "resid":
            return found.stream[layer + 1][0, self.position]
        return (found.stream[layer] if self.model.graph.parallel else found.middle[layer])[
            0, self.position
        ]

    def _constants(self) -> Float[Tensor, " branch"]:
        """What the projections' own biases, and a norm's, add."""
        import torch

        from .neuron_weights import read_directions

        subject, unit = self.model.subject, self.unit
        if unit.site == "resid":
            return torch.zeros(1, dtype=torch.float64)
        part, joints = subject.parts.layers[unit.layer], self.model.readers[unit.layer]
        rows = torch.stack([m[unit.index] for m in read_directions(subject, unit.layer)]).double()
        total = torch.zeros(len(rows), dtype=torch.float64)
        if (shift := getattr(joints.mlp_norm, "bias", None)) is not None:
            total += rows @ shift.double()
        biases = [b for m in part.mlp_rows if (b := getattr(m, "bias", None)) is not None]
        if biases:
            flat = torch.cat(biases).double().unflatten(0, (len(rows), -1))
            total += flat[:, unit.index]
        return total

    def _totals(self) -> Float[Tensor, " branch"]:
        """The pre-activations, from the whole stream."""
        return self.directions @ self._read_from().double() + self._constants()

    def _weights(self) -> Float[Tensor, " branch"]:
        """Derivative of the activation by each branch."""
        import torch

        totals = self._totals()
        if self.unit.site == "resid":
            return torch.ones_like(totals)
        with torch.enable_grad():
            branches = totals.detach().clone().requires_grad_()
            self._activation(branches).backward()
        assert branches.grad is not None
        return branches.grad

    def _activation(self, branches: Tensor) -> Tensor:
        if self.unit.site == "resid":
            return branches[0]
        part: Any = self.model.subject.parts.layers[self.unit.layer]
        through = part.activation(branches[0])
        return through * branches[1] if self.gated else through

    def answer(self, k: int) -> dict[str, Any]:
        """The fields of the result that are computed here."""
        totals = self._totals()
        parts = self._parts()
        ranked = sorted(parts, key=lambda name: -abs(float(self.weights @ parts[name])))
        sources = self._sources([name for name in ranked[:k] if name.startswith("head")][:HEADS])
        left = sum((parts[name] for name in ranked[k:]), start=totals * 0)
        branches = self._named(totals)
        return {
            "activation": rounded([float(self._activation(totals))])[0],
            "gate": branches[0],
            "up": branches[1],
            "parts": [
                self._contribution(name, parts[name], sources.get(name, [])) for name in ranked[:k]
            ],
            "rest": self._contribution(f"{len(ranked[k:])} others", left),
            "neurons": self._neurons(k),
        }

    def _named(self, shares: Tensor) -> tuple[float | None, float | None]:
        values = rounded(shares.tolist())
        if self.unit.site == "resid":
            return None, values[0]
        return values[0], values[1] if self.gated else None

    def _contribution(
        self, part: str, shares: Float[Tensor, " branch"], sources: Sequence[tuple[str, float]] = ()
    ) -> Contribution:
        (effect,) = rounded([float(self.weights @ shares)])
        return Contribution(part, *self._named(shares), effect, list(sources))

    def _layers(self) -> tuple[int, int]:
        """How many layers' attention, and MLPs, write before the unit reads."""
        last = self.unit.layer
        if self.unit.site == "resid":
            return last + 1, last + 1
        return (last, last) if self.model.graph.parallel else (last + 1, last)

    def _parts(self) -> dict[str, Float[Tensor, " branch"]]:
        """Every part's share of each branch; what is left of the stream is the output biases'."""
        found, at = self.found, self.position
        n_attention, n_mlp = self._layers()
        written = {"embedding": found.stream[0][0, at].double()}
        for layer in range(n_attention):
            heads = self.model.head_writes(layer, found.z[layer][0, at]).double()
            written |= {f"head.{layer}.{head}": heads[head] for head in range(len(heads))}
        for layer in range(n_mlp):
            written[f"mlp.{layer}"] = found.mlp[layer][0, at].double()
        shares = {name: self.directions @ vector for name, vector in written.items()}
        rest = self._read_from().double() - sum(written.values())
        shares["biases"] = self.directions @ rest + self._constants()
        return shares

    def _neurons(self, k: int) -> list[Contribution]:
        import torch

        from .neuron_weights import write_directions

        best: list[tuple[float, str, Tensor]] = []
        for layer in range(self._layers()[1]):
            values = self.found.neurons[layer][0, self.position].double()
            shares = (
                self.directions @ write_directions(self.model.subject, layer).double().T * values
            )  # branch neuron
            effects = self.weights @ shares
            for index in torch.topk(effects.abs(), min(k, len(effects))).indices.tolist():
                best.append((abs(float(effects[index])), f"mlp.{layer}.{index}", shares[:, index]))
        best.sort(key=lambda one: (-one[0], one[1]))
        return [self._contribution(name, shares) for _, name, shares in best[:k]]

    def _sources(self, heads: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
        """For each head the source tokens of the largest effect."""
        found: dict[str, list[tuple[str, float]]] = {}
        by_layer: dict[int, Tensor] = {}
        for name in heads:
            layer, head = map(int, name.split(".")[1:])
            if layer not in by_layer:
                by_layer[layer] = self.model.head_writes(layer, z_by_source(self, layer)).double()
            effects = by_layer[layer][head] @ (self.weights @ self.directions)  # source
            order = effects.abs().argsort(descending=True)[:SOURCES].tolist()
            found[name] = [
                (self.text.tokens[i], rounded([float(effects[i])])[0]) for i in order if effects[i]
            ]
        return found


def z_by_source(reading: _UpstreamPass, layer: int) -> Float[Tensor, "source width"]:
    """What each source token adds to a layer's z at the position: its attention with the values of one at a time."""
    import torch

    from ..circuits.hooks import temporary_hooks
    from ..subject.architectures import first_tensor

    model, seq = reading.model, len(reading.text.ids)
    args, kwargs = reading.calls[layer]
    first = model.graph.n_heads + model.graph.n_kv_heads
    one_at_a_time = torch.eye(seq, dtype=torch.bool)[..., None]  # row: the source whose value stays
    seen: list[Tensor] = []

    def only_one(index: int, value: Tensor) -> Tensor:
        new = value.clone()
        for slot in model.qkv_slices[first:]:
            if slot.module == index:
                new[..., slot.rows] = new[..., slot.rows] * one_at_a_time
        return new

    def repeated(value: Any) -> Any:
        return (
            value.repeat(seq, 1, 1)
            if isinstance(value, torch.Tensor) and value.ndim == 3
            else value
        )

    with temporary_hooks() as put, torch.no_grad():
        for index, module in enumerate(model.readers[layer].projections):
            put.on_output(module, partial(only_one, index))
        put.on_input(model.subject.parts.layers[layer].attention_out, seen.append)
        given = {
            name: repeated(value) if name == "hidden_states" else value
            for name, value in kwargs.items()
        }
        first_tensor(
            model.subject.parts.layers[layer].attention_write(*map(repeated, args), **given)
        )
    return seen[0][:, reading.position]
