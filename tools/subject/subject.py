"""The language model under study: its words, its units, and its activations on any text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from functools import cached_property
from typing import Any, Self, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..corpus import Split
from ..errors import UsageError
from . import capture as forward
from .address import Shape, Site, Unit
from .architectures import (
    Architecture,
    architecture_of,
    columns_of,
    device_of,
    find_modules,
    matrix,
)
from .capture import Capture, PassEdits, joined
from .interventions import Intervention, compile_edits
from .latents import Latents
from .mlp_input import neurons, norm_statistics, stream_after
from .non_finite import require_finite
from .passed_tests import SelfTestConditions
from .placement import require_in_memory
from .readout import head_factors, head_norms, logits_of_direction, unembedded, written_by
from .row_parts import RowParts, bytes_of_a_token
from .token_text import token_strings
from .tokenizer import TextEncoder, Tokens
from .unit_norm import unit_norm

Directions = Mapping[int, Mapping[str, Float[Tensor, " d_model"]]]

StoredActivations = Callable[[Split, Sequence[Unit]], Float[np.ndarray, "unit context seq"] | None]
"""Raw activations of some units, without planted ones, on all contexts of a split in their order; None
where they are not stored."""


class Subject:
    """A language model with addressable units; causal, or of the class `Encoder`.

    Attributes:
        name: what the user calls it; `title`: its name in reports, with the origin of the weights.
        revision: first 16 hexadecimal digits of the SHA-256 of the weights.
        shape: how many units it has; `directions`: unit-norm vectors by layer and name.
        dictionaries: those attached (`attach_latents`), by name.
        head_dim: columns of z that belong to one head.
        test_conditions: under which it was loaded and tested; None if it was made in another way.
    """

    bidirectional = False  # whether each token sees the whole text; then there are no logits

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
        self._encode = TextEncoder(tokenizer)
        self.name, self.title, self.revision = name, title or name, revision
        self.test_conditions: SelfTestConditions | None = None
        config: Any = self.model.config
        self.architecture = architecture or architecture_of(config.model_type)
        self.parts = find_modules(self.model, self.architecture)
        self.d_model: int = config.hidden_size
        self.context_length: int = config.max_position_embeddings
        self.directions = {
            layer: {label: self._direction(layer, label, vector) for label, vector in named.items()}
            for layer, named in (directions or {}).items()
        }
        widths = tuple(columns_of(layer.mlp_down) for layer in self.parts.layers)
        self.shape = Shape(
            n_layers=len(widths),
            n_neurons=widths[0] if len(set(widths)) == 1 else widths,
            n_heads=config.num_attention_heads,
            directions={layer: tuple(named) for layer, named in self.directions.items()},
        )
        self.head_dim: int = columns_of(self.parts.layers[0].attention_out) // self.shape.n_heads
        pass_bytes = bytes_of_a_token(self.d_model, max(widths), self.dtype)
        self.row_parts = RowParts(name, pass_bytes, self.device)
        self.dictionaries: Mapping[str, Latents] = {}
        self._token_strings: list[str] | None = None
        self._head_factors: dict[int, Tensor] = {}

    def __repr__(self) -> str:
        return f"Subject({self.name!r}, {self.architecture.model_type}, {self.shape.n_layers} layers, {self.device})"

    def require_revision(self, revision: str, made_with_it: str) -> None:
        """Raise UsageError unless the weights are those that something ("the run 'x'") was made with."""
        if self.revision != revision:
            raise UsageError(
                f"the subject {self.name!r} has the weights {self.revision}, but {made_with_it} was made with "
                f"{revision}; load those weights, or make it again with these"
            )

    @cached_property
    def at_least_float32(self) -> Self:
        """The subject itself, or in half precision a copy that computes in float32."""
        if self.dtype not in (torch.bfloat16, torch.float16):
            return self
        require_in_memory(self.model, f"{self.name} is needed in float32 here")
        twin = copy(self)
        twin.model = deepcopy(self.model).float()
        twin.parts = find_modules(twin.model, self.architecture)
        twin._head_factors = {}
        return twin

    def require_decoder(self, what: str) -> None:
        """Raise UsageError for an encoder, which has no next-token logits; `what` needs them."""

    def mask(self, ids: Int[Tensor, "batch seq"]) -> Bool[Tensor, "batch seq"] | None:
        """Tokens that the others see, for an encoder with padding; None for all."""
        return None

    @property
    def device(self) -> torch.device:
        """Where the embedding is, which token ids go to; other layers may be elsewhere (`placement`)."""
        return device_of(next(self.model.parameters()))

    def site_device(self, site: Site) -> torch.device:
        """Where the value at a raw site is."""
        layer = self.parts.layers[max(site.layer, 0)]
        return device_of(next(layer.whole.parameters()))

    @property
    def dtype(self) -> torch.dtype:
        """The weights' number format."""
        return next(self.model.parameters()).dtype

    def tokenize(self, text: str) -> Tokens:
        """Tokenize raw text: no chat template, no beginning-of-sequence token, no control tokens.

        A control token that is spelled out in the text becomes ordinary tokens.
        """
        return self._encode(text)

    def token_strings(self) -> list[str]:
        """The text of every token id, as `token_text` describes; "" for unknown ids."""
        if self._token_strings is None:
            n_rows = self.model.get_input_embeddings().weight.shape[0]
            self._token_strings = token_strings(self.tokenizer, n_rows)
        return self._token_strings

    def capture(
        self,
        ids: Int[Tensor, "batch seq"],
        sites: Sequence[Site],
        *,
        interventions: Sequence[Sequence[Intervention]] | None = None,
        logits: bool = False,
        last_only: bool = False,
    ) -> Capture:
        """Activations at the sites for each token; without `logits` the pass stops at the deepest.

        mlp: the input of the down projection. head: norm of each head's output W_O^h z_h (float32).
        resid: the stream after the layer, projected on its named directions (float32). z, stream,
        mlp_in: raw vectors. Padding on the right (ids 0) is harmless: it is not seen by the tokens before it.

        Args:
            interventions: one list per row of the batch.
            last_only: return logits of the last position only.

        Raises:
            UsageError: the subject computes numbers that are not finite, or an encoder has no logits.
            ArgumentError: the numbers are not finite under these interventions.
        """
        if logits:
            self.require_decoder("logits")
        ids = self._checked(ids)
        sites = list(dict.fromkeys(sites))
        for site in sites:
            self.shape.check(site)
        if (not sites and not logits) or len(interventions or ids) != len(ids):
            self._edits_for(
                ids, [self.shape.raw(site) for site in sites], interventions
            )  # may raise
            return Capture({})

        def read_rows(rows: slice) -> Capture:
            changes = None if interventions is None else interventions[rows]
            return self._capture_rows(ids[rows], sites, changes, logits, last_only)

        logit_bytes = 2 * self.n_vocabulary * self.dtype.itemsize if logits and not last_only else 0
        captured = joined(self.row_parts.collect(ids, read_rows, logit_bytes))
        read = {str(site): values for site, values in captured.activations.items()}
        if captured.logits is not None:
            read["the logits"] = captured.logits
        for place, values in read.items():
            require_finite(values, self.name, self.dtype, place, edited=bool(interventions))
        return captured

    def _capture_rows(
        self,
        ids: Int[Tensor, "batch seq"],
        sites: Sequence[Site],
        interventions: Sequence[Sequence[Intervention]] | None,
        logits: bool,
        last_only: bool,
    ) -> Capture:
        raw: dict[Site, Tensor] = {}
        raw_sites = [self.shape.raw(site) for site in sites]
        options: Any = {"logits": logits, "last_only": last_only}
        scores = self._pass(ids, raw_sites, raw.__setitem__, interventions, **options)
        with torch.inference_mode():
            units = {site: self.units_of(site, raw[self.shape.raw(site)]) for site in sites}
        return Capture(units, scores)

    def stream(
        self,
        ids: Int[Tensor, "batch seq"],
        sites: Sequence[Site],
        consume: Callable[[Site, Float[Tensor, "batch seq column"]], None],
    ) -> None:
        """Like `capture`, but pass on each site's activations when they are computed; keep none."""
        sites_of: dict[Site, list[Site]] = {}
        for site in sites:
            sites_of.setdefault(self.shape.raw(site), []).append(site)

        def read_rows(rows: Int[Tensor, "part seq"], take: Callable[[Site, Tensor], None]) -> None:
            self._pass(rows, list(sites_of), take, None)

        def read(raw_site: Site, value: Tensor) -> None:
            for site in sites_of[raw_site]:
                consume(site, self.units_of(site, value))

        self.row_parts.stream(ids, read_rows, read)

    def _pass(
        self,
        ids: Int[Tensor, "batch seq"],
        raw_sites: Sequence[Site],
        consume: Callable[[Site, Tensor], None],
        interventions: Sequence[Sequence[Intervention]] | None,
        **options: Any,
    ) -> Float[Tensor, "batch seq vocab"] | None:
        edits, append_columns = self._edits_for(ids, raw_sites, interventions)
        options |= {"append_columns": append_columns, "mask": self.mask(ids)}
        return forward.stream(self.model, self.parts, ids, raw_sites, consume, edits, **options)

    def _edits_for(
        self,
        ids: Int[Tensor, "batch seq"],
        raw_sites: Sequence[Site],
        interventions: Sequence[Sequence[Intervention]] | None,
    ) -> PassEdits:
        """The edits of a pass over these ids; a subject with planted units adds its own."""
        return PassEdits(compile_edits(self, interventions, *ids.shape) if interventions else {})

    def unit_activations(
        self,
        ids: Int[Tensor, "batch seq"],
        units: Sequence[Unit],
        *,
        interventions: Sequence[Sequence[Intervention]] | None = None,
    ) -> Float[Tensor, "unit batch seq"]:
        """Raw activations of some units; the sides of their addresses are ignored."""
        columns = [self.shape.column(unit) for unit in units]
        sites = [unit.place for unit in units]
        captured = self.capture(ids, sites, interventions=interventions).activations
        pairs = zip(sites, columns, strict=True)
        values = [captured[site][..., column].float() for site, column in pairs]
        return torch.stack([of_unit.to(self.device) for of_unit in values])

    def neurons_from(
        self,
        layer: int,
        mlp_in: Float[Tensor, "batch seq d_model"],
        ids: Int[Tensor, "batch seq"],
        columns: Sequence[int] | None = None,
    ) -> Float[Tensor, "batch seq column"]:
        """The layer's neurons, or some columns of them, from the input of its MLP on these ids."""
        return neurons(self.architecture, self.parts.layers[layer], mlp_in, columns)

    def norm_statistics(
        self,
        layer: int,
        mid: Float[Tensor, "batch seq d_model"],
        mlp_in: Float[Tensor, "batch seq d_model"],
    ) -> Float[Tensor, "batch seq statistic"]:
        """What the norm between the streams `mid` and `mlp_in` took out: its scale, or also its mean."""
        return norm_statistics(self.architecture, self.parts.layers[layer], mid, mlp_in)

    def stream_from(
        self,
        layer: int,
        mlp_in: Float[Tensor, "batch seq d_model"],
        statistics: Float[Tensor, "batch seq statistic"],
    ) -> Float[Tensor, "batch seq d_model"]:
        """The stream after the layer, from the input of its MLP; see `mlp_input` for when it holds."""
        return stream_after(self.architecture, self.parts.layers[layer], mlp_in, statistics)

    def depends_on_text(self, layer: int) -> bool:
        """Whether a neuron of the layer depends on more than its MLP's input at the same token."""
        return False

    def writes_besides_mlp(self, layer: int) -> bool:
        """Whether something else than attention and MLP writes to the stream in this layer."""
        return False

    @property
    def n_vocabulary(self) -> int:
        """Number of logits of a prediction."""
        return cast(Tensor, self.parts.unembed.weight).shape[0]

    def final_vectors(
        self, last_stream: Float[Tensor, "*rows d_model"]
    ) -> Float[Tensor, "*rows d_model"]:
        """What the unembedding reads, from the residual stream after the last layer."""
        return self.parts.final_norm(last_stream)

    def logits_of_final(
        self, final: Float[Tensor, "*rows d_model"], tokens: slice = slice(None)
    ) -> Float[Tensor, "*rows token"]:
        """The model's logits, or those of some tokens, from what the unembedding reads."""
        return unembedded(self.parts.unembed, self.model.config, final, tokens)

    def offer_stored(self, read: StoredActivations) -> None:
        """Use stored activations on the corpus; only a subject with planted units reads any."""

    def logits_from(
        self, last_stream: Float[Tensor, "*rows d_model"]
    ) -> Float[Tensor, "*rows vocab"]:
        """The model's logits from the residual stream after its last layer."""
        return self.logits_of_final(self.final_vectors(last_stream))

    def _checked(self, ids: Int[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
        if ids.ndim != 2 or ids.shape[1] == 0:
            raise UsageError(
                f"token ids of shape {tuple(ids.shape)} given; "
                "expected (batch, seq) with at least one token"
            )
        if ids.shape[1] > self.context_length:
            raise UsageError(
                f"{ids.shape[1]} tokens given; {self.name} reads at most {self.context_length}: "
                "cut the text"
            )
        return ids.to(self.device, torch.long)

    def units_of(
        self, site: Site, raw: Float[Tensor, "batch seq width"]
    ) -> Float[Tensor, "batch seq column"]:
        """The site's units from its raw vectors."""
        if site.kind == "head":
            if site.layer not in self._head_factors:
                self._head_factors[site.layer] = head_factors(self.head_matrices(site.layer))
            return head_norms(raw, self._head_factors[site.layer])
        if site.kind == "resid":
            return raw.float() @ self.basis(site.layer).T.to(raw.device)
        if site.kind == "sae":
            return self.dictionaries[site.name].encode(raw)
        return raw

    def head_matrices(self, layer: int) -> Float[Tensor, "head d_model head_dim"]:
        """W_O^h of each head, which maps its z to its write to the residual stream."""
        output = matrix(self.parts.layers[layer].attention_out)
        return output.unflatten(1, (self.shape.n_heads, self.head_dim)).transpose(0, 1)

    def basis(self, layer: int) -> Float[Tensor, "direction d_model"]:
        """The layer's named directions, unit norm, in column order."""
        return torch.stack(list(self.directions[layer].values()))

    def write_direction(self, unit: Unit) -> Float[Tensor, " d_model"]:
        """What a unit of activation 1 adds to the residual stream.

        In a family with post-norms this holds up to a positive factor.

        Raises:
            ArgumentError: the unit is a head, which writes in head_dim directions.
        """
        return written_by(self, unit)

    def logits_of(
        self, residual_direction: Float[Tensor, "*rows d_model"]
    ) -> Float[Tensor, "*rows vocab"]:
        """What a direction of the final residual stream adds to each logit.

        The final norm's scale is applied (and its centring, for a LayerNorm), then the unembedding;
        no bias or cap. The result is exact up to the norm's positive factor.
        """
        return logits_of_direction(self, residual_direction)

    def _direction(self, layer: int, name: str, vector: Tensor) -> Float[Tensor, " d_model"]:
        n_layers = len(self.parts.layers)
        normed = unit_norm(vector, layer, name, n_layers=n_layers, d_model=self.d_model)
        return normed.to(self.device)
