"""The language model under study: its words, its units, and its activations on any text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import ArgumentError, UsageError
from . import capture as capturing
from .address import Shape, Site, Unit
from .architectures import Architecture, architecture_of, find_modules, matrix, norm_scale
from .capture import AppendColumns, Capture, Edit
from .interventions import Intervention, compile_edits

Directions = Mapping[int, Mapping[str, Float[Tensor, " d_model"]]]


class Tokens(NamedTuple):
    """A text's tokens: ids, and the span of characters that each covers."""

    ids: list[int]
    offsets: list[tuple[int, int]]


class PassEdits(NamedTuple):
    """How a forward pass differs from a bare one: edits by place, and columns added to what passes."""

    edits: Mapping[Site, Sequence[Edit]]
    widen: AppendColumns | None = None


class Subject:
    """A causal language model with addressable units.

    Attributes:
        name: what the user calls it; `title`: what reports call it, with how the weights came about.
        revision: first 16 hexadecimal digits of the SHA-256 of the weights.
        shape: how many units it has; `directions`: unit-norm vectors by layer and name.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        name: str,
        title: str = "",
        revision: str = "",
        directions: Directions | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        self.model: Any = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name, self.title, self.revision = name, title or name, revision
        config: Any = self.model.config
        self.architecture = architecture or architecture_of(config.model_type)
        self.parts = find_modules(self.model, self.architecture)
        self.d_model: int = config.hidden_size
        self.context_length: int = config.max_position_embeddings
        self.directions = {
            layer: {label: self._unit_norm(layer, label, vector) for label, vector in named.items()}
            for layer, named in (directions or {}).items()
        }
        widths = tuple(matrix(layer.mlp_down).shape[1] for layer in self.parts.layers)
        self.shape = Shape(
            n_layers=len(widths),
            n_neurons=widths[0] if len(set(widths)) == 1 else widths,
            n_heads=config.num_attention_heads,
            directions={layer: tuple(named) for layer, named in self.directions.items()},
        )
        self._token_strings: list[str] | None = None
        self._head_factors: dict[int, Tensor] = {}

    def __repr__(self) -> str:
        return f"Subject({self.name!r}, {self.architecture.model_type}, {self.shape.n_layers} layers, {self.device})"

    def require_revision(self, revision: str, made_with_it: str) -> None:
        """Check that the weights are those that something was made with.

        Args:
            made_with_it: for the message, such as "the run 'x'" or "the index 'y'".

        Raises:
            UsageError: they are other weights.
        """
        if self.revision != revision:
            raise UsageError(
                f"the subject {self.name!r} has the weights {self.revision}, but {made_with_it} was made with "
                f"{revision}; load those weights, or make it again with these"
            )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' number format."""
        return next(self.model.parameters()).dtype

    @cached_property
    def head_dim(self) -> int:
        """Columns of z that belong to one head."""
        return matrix(self.parts.layers[0].attention_out).shape[1] // self.shape.n_heads

    # ------------------------------------------------------------------ words

    def tokenize(self, text: str) -> Tokens:
        """Cut raw text into tokens: no chat template, no beginning-of-sequence token."""
        encoding = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return Tokens(encoding["input_ids"], encoding["offset_mapping"])

    def token_strings(self) -> list[str]:
        """The text of every token id, as it reads behind another token; "" for ids that the tokenizer lacks."""
        if self._token_strings is None:
            self._token_strings = _token_strings(
                self.tokenizer, self.model.get_input_embeddings().weight.shape[0]
            )
        return self._token_strings

    # ------------------------------------------------------------ activations

    def capture(
        self,
        ids: Int[Tensor, "batch seq"],
        sites: Sequence[Site],
        *,
        interventions: Sequence[Sequence[Intervention]] | None = None,
        logits: bool = False,
        last_only: bool = False,
    ) -> Capture:
        """Activations at the sites for each token; the pass stops after the deepest of them unless
        logits are wanted.

        mlp: what enters the down projection. head: norm of each head's output W_O^h z_h (float32).
        resid: the stream after the layer, projected on its named directions (float32). z, stream,
        mlp_in: raw vectors. Padding on the right is harmless, as the model is causal.

        Args:
            interventions: one list for each row of the batch.
            last_only: logits of the last position only.
        """
        ids = self._checked(ids)
        sites = list(dict.fromkeys(sites))
        for site in sites:
            self.shape.check(site)
        raw = [_raw_place(site) for site in sites]
        edits, widen = self._pass(ids, raw, interventions)
        if not raw and not logits:
            return Capture({})
        options = {"logits": logits, "last_only": last_only, "widen": widen}
        result = capturing.run(self.model, self.parts, ids, raw, edits, **options)
        with torch.inference_mode():
            found = {site: self._read(site, result.activations[_raw_place(site)]) for site in sites}
        return Capture(found, result.logits)

    def stream(
        self,
        ids: Int[Tensor, "batch seq"],
        sites: Sequence[Site],
        consume: Callable[[Site, Float[Tensor, "batch seq column"]], None],
    ) -> None:
        """Like `capture`, but each site's activations are handed on as soon as they exist, and none is kept."""
        wanted = {_raw_place(site): site for site in sites}
        edits, widen = self._pass(ids, list(wanted), None)

        def read(place: Site, value: Tensor) -> None:
            consume(wanted[place], self._read(wanted[place], value))

        capturing.stream(self.model, self.parts, ids, list(wanted), read, edits, widen=widen)

    def _pass(
        self,
        ids: Int[Tensor, "batch seq"],
        places: Sequence[Site],
        interventions: Sequence[Sequence[Intervention]] | None,
    ) -> PassEdits:
        """What a forward pass over these ids does besides; a subject with planted units does more."""
        return PassEdits(compile_edits(self, interventions, *ids.shape) if interventions else {})

    def unit_activations(
        self,
        ids: Int[Tensor, "batch seq"],
        units: Sequence[Unit],
        *,
        interventions: Sequence[Sequence[Intervention]] | None = None,
    ) -> Float[Tensor, "unit batch seq"]:
        """Raw activations of some units (both sides, whatever their addresses say)."""
        columns = [self.shape.column(unit) for unit in units]
        captured = self.capture(
            ids, [unit.place for unit in units], interventions=interventions
        ).activations
        return torch.stack(
            [
                captured[unit.place][..., column].float()
                for unit, column in zip(units, columns, strict=True)
            ]
        )

    def _checked(self, ids: Int[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
        if ids.ndim != 2 or ids.shape[1] == 0:
            raise UsageError(
                f"token ids of shape {tuple(ids.shape)} given; expected (batch, seq) with at least one token"
            )
        if ids.shape[1] > self.context_length:
            raise UsageError(
                f"{ids.shape[1]} tokens given; {self.name} reads at most {self.context_length}: cut the text"
            )
        return ids.to(self.device, torch.long)

    def _read(
        self, site: Site, raw: Float[Tensor, "batch seq width"]
    ) -> Float[Tensor, "batch seq column"]:
        if site.kind == "head":
            return self._head_norms(site.layer, raw)
        if site.kind == "resid":
            return raw.float() @ self.basis(site.layer).T
        return raw

    def _head_norms(
        self, layer: int, z: Float[Tensor, "batch seq width"]
    ) -> Float[Tensor, "batch seq head"]:
        # With W_O^h = QR and Q orthonormal, |W_O^h z| = |R z|: head_dim instead of d_model rows a
        # head.
        if layer not in self._head_factors:
            heads = self.head_matrices(layer).float().cpu()
            self._head_factors[layer] = torch.linalg.qr(heads, mode="r").R.to(self.device)
        heads = z.float().unflatten(
            -1, (self.shape.n_heads, self.head_dim)
        )  # batch seq head head_dim
        return torch.einsum("bshk,hjk->bshj", heads, self._head_factors[layer]).norm(dim=-1)

    # ---------------------------------------------------------------- weights

    def head_matrices(self, layer: int) -> Float[Tensor, "head d_model head_dim"]:
        """W_O^h of each head: what turns its z into a write to the residual stream."""
        output = matrix(self.parts.layers[layer].attention_out)
        return output.unflatten(1, (self.shape.n_heads, self.head_dim)).transpose(0, 1)

    def basis(self, layer: int) -> Float[Tensor, "direction d_model"]:
        """The layer's named directions, unit norm, in column order."""
        return torch.stack(list(self.directions[layer].values()))

    def write_direction(self, unit: Unit) -> Float[Tensor, " d_model"]:
        """What a unit of activation 1 adds to the residual stream (behind a post-norm: up to a
        positive factor).

        Raises:
            ArgumentError: for a head, which writes in head_dim directions.
        """
        column = self.shape.column(unit)
        if unit.site == "head":
            raise ArgumentError(
                f"{str(unit)!r} is a head, which has no single write direction; ask for a neuron or direction"
            )
        if unit.site == "resid":
            return self.directions[unit.layer][unit.name]
        layer = self.parts.layers[unit.layer]
        written = matrix(layer.mlp_down)[:, column]
        if self.architecture.mlp_write != self.architecture.mlp:
            written = written * norm_scale(layer.mlp_write, self.architecture.norm)
        return written

    def logits_of(
        self, residual_direction: Float[Tensor, "*rows d_model"]
    ) -> Float[Tensor, "*rows vocab"]:
        """What a direction of the final residual stream adds to each logit, up to the norm's
        positive factor.

        The final norm's scale is applied (and its centring, for a LayerNorm), then the unembedding;
        no bias or cap.
        """
        direction = residual_direction.to(self.device, self.dtype)
        if self.architecture.norm == "layer":
            direction = direction - direction.mean(dim=-1, keepdim=True)
        scaled = direction * norm_scale(self.parts.final_norm, self.architecture.norm)
        return scaled @ cast(Tensor, self.parts.unembed.weight).T

    def _unit_norm(self, layer: int, name: str, vector: Tensor) -> Float[Tensor, " d_model"]:
        if not 0 <= layer < len(self.parts.layers):
            raise UsageError(
                f"direction {name!r} is at layer {layer}; {self.name} has layers 0 to {len(self.parts.layers) - 1}"
            )
        if vector.shape != (self.d_model,) or not vector.norm() > 0 or not vector.isfinite().all():
            raise UsageError(
                f"direction resid.{layer}@{name} has shape {tuple(vector.shape)}; expected a finite vector of "
                f"{self.d_model} numbers, not all zero"
            )
        return (vector.float() / vector.float().norm()).to(self.device)


def _raw_place(site: Site) -> Site:
    if site.kind == "head":
        return Site("z", site.layer)
    return Site("stream", site.layer) if site.kind == "resid" else site


def _token_strings(tokenizer: Any, n_ids: int) -> list[str]:
    # Decoded behind an anchor, since a SentencePiece decoder drops the space of a text's first
    # token.
    backend = tokenizer.backend_tokenizer
    anchor: int = tokenizer("a", add_special_tokens=False)["input_ids"][0]
    prefix = backend.decode([anchor], skip_special_tokens=False)
    known = min(n_ids, len(tokenizer))
    decoded = backend.decode_batch(
        [[anchor, token] for token in range(known)], skip_special_tokens=False
    )
    return [text.removeprefix(prefix) for text in decoded] + [""] * (n_ids - known)
