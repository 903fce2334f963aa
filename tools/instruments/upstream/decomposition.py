"""A unit's activation at a token as a sum over the parts of the residual stream.

1. The stream that the unit reads is a sum: embedding + what every earlier head and MLP wrote +
   output biases.
2. With the norm's scale held at its value here, the norm is linear, and so is a projection row.
   Hence the neuron's pre-activation is a sum with one term for each part: the gate's, and in a
   gated MLP the up branch's too. (A named direction, and a latent of the stream, is read off the
   stream without a norm: one sum. A latent's own normalisation is held at its value too.)
3. The activation f(gate) * up is not linear, so parts are ranked by their first-order effect on it,
   f'(gate) * up * (their share of gate) + f(gate) * (their share of up). The shares are exact. A
   latent that is silent has no such effect, so its parts are ranked by their shares.
4. An MLP's share is the sum of its neurons'. A head's is the sum over source tokens
   (`attention_by_source`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from ...subject.address import Unit
from ...subject.input_texts import InputText
from ..neuron_weights import read_directions, write_directions
from ..registry import rounded
from .attention_by_source import AttentionCall, z_by_source
from .result import Contribution

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ...circuits.circuit_model import CircuitModel
    from ...circuits.forward_record import ForwardRecord
    from ...dictionaries.dictionary import Dictionary


LAYER_NORM_EPSILON = 1e-5
"""As `Dictionary.normalised` has it."""


@dataclass(frozen=True)
class Decomposition:
    """The parts of the stream that a unit reads at one position of a text.

    Attributes:
        is_among_largest: whether a latent of a dictionary that keeps only its largest is one of them
            there; True for all other units.
        record: what every part wrote, in one pass over the text.
        attention_calls: how each layer's attention was called in that pass.
    """

    model: CircuitModel
    unit: Unit
    text: InputText
    position: int
    is_among_largest: bool
    record: ForwardRecord
    attention_calls: dict[int, AttentionCall]

    @classmethod
    def of(
        cls,
        model: CircuitModel,
        unit: Unit,
        text: InputText,
        position: int,
        *,
        is_among_largest: bool = True,
    ) -> Decomposition:
        """Run the subject over a text and keep what a decomposition needs."""
        import torch

        from ...circuits.forward_record import record
        from ...circuits.hooks import temporary_hooks

        calls: dict[int, AttentionCall] = {}

        def keep(layer: int, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls[layer] = AttentionCall(args, kwargs)

        with temporary_hooks() as hooks:
            for layer, parts in enumerate(model.subject.parts.layers):
                hooks.on_call(parts.attention_write, partial(keep, layer))
            recorded = record(model, torch.tensor([text.ids]), lambda logits: logits.sum(-1))
        return cls(model, unit, text, position, is_among_largest, recorded, calls)

    # 1. The stream that the unit reads, and its parts.

    @property
    def layer(self) -> int:
        """The layer that the unit is read in; -1 for a latent of the embedding."""
        return self.model.subject.shape.layer_of(self.unit)

    @property
    def _reads_after_layer(self) -> bool:
        """Whether the unit reads the stream after its layer, and not the input of its MLP."""
        if self.unit.site == "sae":
            return self._latents.reads.kind == "stream"
        return self.unit.site == "resid"

    @cached_property
    def _latents(self) -> Dictionary:
        return cast("Dictionary", self.model.subject.dictionaries[self.unit.name])

    @cached_property
    def stream(self) -> Float[Tensor, " d_model"]:
        """The stream that the unit reads, before its norm."""
        record, layer = self.record, self.layer
        if self._reads_after_layer:
            stream = record.stream[layer + 1]
        else:
            stream = (record.stream if self.model.graph.parallel else record.middle)[layer]
        return stream[0, self.position].double()

    @property
    def _n_mlp_layers(self) -> int:
        """How many layers' MLPs write before the unit reads."""
        return self.layer + self._reads_after_layer

    @property
    def _n_attention_layers(self) -> int:
        """How many layers' attention writes before the unit reads."""
        reads_own_attention = self._reads_after_layer or not self.model.graph.parallel
        return self.layer + reads_own_attention

    def shares(self) -> dict[str, Float[Tensor, " branch"]]:
        """Each part's share of each branch; the output biases get what is left of the stream."""
        record, position = self.record, self.position
        written = {"embedding": record.stream[0][0, position].double()}
        for layer in range(self._n_attention_layers):
            heads = self.model.head_writes(layer, record.z[layer][0, position]).double()
            written |= {f"head.{layer}.{head}": heads[head] for head in range(len(heads))}
        for layer in range(self._n_mlp_layers):
            written[f"mlp.{layer}"] = record.mlp[layer][0, position].double()
        shares = {part: self.directions @ vector for part, vector in written.items()}
        biases = self.stream - sum(written.values())
        shares["biases"] = self.directions @ biases + self._constants
        return shares

    # 2. How the unit reads the stream.

    @cached_property
    def _rows(self) -> Float[Tensor, "branch d_model"]:
        """The unit's rows of its layer's projections, or the encoder's column of a latent."""
        import torch

        if self.unit.site == "sae":
            return self._latents.encoder[:, self.unit.index][None].double()
        matrices = read_directions(self.model.subject, self.layer)
        return torch.stack([matrix[self.unit.index] for matrix in matrices]).double()

    @cached_property
    def directions(self) -> Float[Tensor, "branch d_model"]:
        """A part's share of each branch is its dot product with these; the frozen norm is in them."""
        from ...subject.architectures import norm_scale

        subject, unit = self.model.subject, self.unit
        if unit.site == "resid":
            return subject.directions[unit.layer][unit.name][None].double()
        if self._reads_after_layer:
            return self._of_normalised
        norm, family = self.model.readers[self.layer].mlp_norm, subject.architecture.norm
        stream = self.stream - self.stream.mean() if family == "layer" else self.stream
        epsilon = getattr(norm, "eps", None) or getattr(norm, "variance_epsilon", 0.0)
        rms = (stream.square().mean() + float(epsilon)).sqrt()
        scaled = self._rows * norm_scale(norm, family).double() / rms
        # A layer norm subtracts the mean first: fold that in too.
        return scaled - scaled.mean(-1, keepdim=True) if family == "layer" else scaled

    @property
    def _of_normalised(self) -> Float[Tensor, "branch d_model"]:
        """The encoder's column with the dictionary's normalisation, frozen, folded in."""
        rows, normalisation = self._rows, self._latents.normalisation
        if normalisation == "none":
            return rows
        if normalisation == "constant_norm":
            return rows / (self.stream.norm() / self.stream.numel() ** 0.5)
        return (rows - rows.mean(-1, keepdim=True)) / (self.stream.std() + LAYER_NORM_EPSILON)

    @cached_property
    def _constants(self) -> Float[Tensor, " branch"]:
        """What the projections' own biases, and the norm's, add."""
        import torch

        if self.unit.site == "resid":
            return torch.zeros(1, dtype=torch.float64)
        constants = torch.zeros(len(self._rows), dtype=torch.float64)
        if self.unit.site == "sae":
            constants += self._latents.constant(self.unit.index).double()
            if self._reads_after_layer:
                return constants
        norm = self.model.readers[self.layer].mlp_norm
        if (shift := getattr(norm, "bias", None)) is not None:
            constants += self._rows @ shift.double()
        if self.unit.site == "sae":
            return constants
        modules = self.model.subject.parts.layers[self.layer].mlp_rows
        biases = [bias for module in modules if (bias := getattr(module, "bias", None)) is not None]
        if biases:
            by_branch = torch.cat(biases).double().unflatten(0, (len(self._rows), -1))
            constants += by_branch[:, self.unit.index]
        return constants

    @cached_property
    def totals(self) -> Float[Tensor, " branch"]:
        """The pre-activations, from the whole stream."""
        return self.directions @ self.stream + self._constants

    # 3. The activation, and first-order effects on it.

    @property
    def _gated(self) -> bool:
        """Whether two branches are multiplied."""
        return self.unit.site == "mlp" and len(self.directions) == 2

    def activation(self, branches: Float[Tensor, " branch"]) -> Float[Tensor, ""]:
        """The unit's activation from its pre-activations."""
        if self.unit.site == "resid":
            return branches[0]
        if self.unit.site == "sae":
            value = self._latents.activate(branches[:1].float(), [self.unit.index])[0].double()
            return value if self.is_among_largest else value * 0
        parts: Any = self.model.subject.parts.layers[self.layer]
        activation = parts.activation(branches[0])
        return activation * branches[1] if self._gated else activation

    @cached_property
    def _derivative(self) -> Float[Tensor, " branch"]:
        """Of the activation, by each branch."""
        import torch

        if self.unit.site == "resid":
            return torch.ones_like(self.totals)
        with torch.enable_grad():
            branches = self.totals.detach().clone().requires_grad_()
            self.activation(branches).backward()
        assert branches.grad is not None
        if self.unit.site == "sae" and not branches.grad.any():
            return torch.ones_like(self.totals)
        return branches.grad

    def effect(self, shares: Float[Tensor, " branch"]) -> float:
        """Effect of a part on the activation, to first order."""
        return float(self._derivative @ shares)

    def gate_and_up(self, shares: Float[Tensor, " branch"]) -> tuple[float | None, float | None]:
        """Shares under the names of their branches."""
        values = rounded(shares.tolist())
        if self.unit.site in ("resid", "sae"):
            return None, values[0]
        return values[0], values[1] if self._gated else None

    def contribution(
        self, part: str, shares: Float[Tensor, " branch"], sources: Sequence[tuple[str, float]] = ()
    ) -> Contribution:
        """A part's shares and its effect."""
        (effect,) = rounded([self.effect(shares)])
        return Contribution(part, *self.gate_and_up(shares), effect, list(sources))

    # 4. MLPs by neuron, heads by source token.

    def neurons(self, k: int) -> list[Contribution]:
        """The k neurons with the largest effects."""
        import torch

        ranked: list[tuple[float, str, Tensor]] = []
        for layer in range(self._n_mlp_layers):
            values = self.record.neurons[layer][0, self.position].double()
            writes = write_directions(self.model.subject, layer).double()
            shares = self.directions @ writes.T * values  # branch neuron
            effects = (self._derivative @ shares).abs()
            for index in torch.topk(effects, min(k, len(effects))).indices.tolist():
                ranked.append((float(effects[index]), f"mlp.{layer}.{index}", shares[:, index]))
        ranked.sort(key=lambda neuron: (-neuron[0], neuron[1]))
        return [self.contribution(address, shares) for _, address, shares in ranked[:k]]

    def head_sources(self, heads: Sequence[str], k: int) -> dict[str, list[tuple[str, float]]]:
        """For each head the k source tokens with the largest effects."""
        units = {address: Unit.parse(address) for address in heads}
        layers = {unit.layer for unit in units.values()}
        writes_by_source = {layer: self._writes_by_source(layer) for layer in layers}
        sources: dict[str, list[tuple[str, float]]] = {}
        for address, head in units.items():
            writes = writes_by_source[head.layer][head.index]  # source d_model
            effects = writes @ (self._derivative @ self.directions)
            order = effects.abs().argsort(descending=True)[:k].tolist()
            sources[address] = [
                (self.text.tokens[i], rounded([float(effects[i])])[0]) for i in order if effects[i]
            ]
        return sources

    def _writes_by_source(self, layer: int) -> Float[Tensor, "head source d_model"]:
        call = self.attention_calls[layer]
        z = z_by_source(self.model, layer, call, len(self.text.ids), self.position)
        return self.model.head_writes(layer, z).double()
