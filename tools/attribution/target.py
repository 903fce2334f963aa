"""What is attributed: a scalar of the subject as a function of a prompt's embeddings, and a baseline.

The subject is causal, so tokens after the scalar's position cannot affect it: they are cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import pad
from transformers import Cache, DynamicCache

from ..circuits.circuit_model import at_least_float32
from ..circuits.hooks import StopForward, temporary_hooks
from ..errors import UsageError
from ..subject.address import Unit
from ..subject.architectures import matrix
from ..subject.non_finite import require_finite
from ..subject.subject import Subject
from .names import BaselineKind

Parameters = Mapping[str, Tensor]
"""Weights by name that replace the subject's own in one pass; the subject itself is never changed."""

BATCH_TOKENS = 512
"""Tokens of one pass; 16 rows of 32 tokens cost a quarter per row of a single one (SmolLM2-135M, two cores)."""


@dataclass(frozen=True)
class Logits:
    """Mean logit of the answers less that of the foils, if any, as the next token of `position` (default: the last)."""

    answer: tuple[int, ...]
    foil: tuple[int, ...] = ()
    position: int | None = None


@dataclass(frozen=True)
class Activation:
    """A unit's activation at a position (default: the last); of the side -, its negation. A head's is its norm."""

    unit: Unit
    position: int | None = None


Scalar = Logits | Activation


class Slopes(NamedTuple):
    """The scalar of some rows and its gradient at each embedding."""

    values: Float[Tensor, " rows"]
    gradients: Float[Tensor, "rows seq d_model"]


@dataclass(frozen=True, eq=False)
class AttributionTarget:
    """One prompt, what it is compared with, and the scalar.

    Attributes:
        ids: the prompt, up to the scalar's position; `baseline_ids`: as many tokens, or None for zero embeddings.
        parameters: weights that replace the subject's own.
    """

    subject: Subject
    scalar: Scalar
    ids: Int[Tensor, " seq"]
    baseline_ids: Int[Tensor, " seq"] | None
    parameters: Parameters | None = None

    @cached_property
    def embedding(self) -> Float[Tensor, "seq d_model"]:
        """The prompt's word embeddings."""
        return self._embed(self.ids)

    @cached_property
    def baseline(self) -> Float[Tensor, "seq d_model"]:
        """The baseline's."""
        return (
            torch.zeros_like(self.embedding)
            if self.baseline_ids is None
            else self._embed(self.baseline_ids)
        )

    @cached_property
    def n_shared(self) -> int:
        """Tokens at the start that prompt and baseline share; mixtures of the two reuse their keys and values."""
        return int(self.changeable[0]) if len(self.changeable) else len(self.ids) - 1

    @property
    def changeable(self) -> Int[Tensor, " changeable"]:
        """Positions at which prompt and baseline differ: no other token can get any credit."""
        return (self.embedding != self.baseline).any(-1).nonzero()[:, 0]

    def with_parameters(self, parameters: Parameters) -> AttributionTarget:
        """The same question to other weights."""
        return replace(self, parameters={**(self.parameters or {}), **parameters})

    def values(self, embeddings: Float[Tensor, "rows seq d_model"]) -> Float[Tensor, " rows"]:
        """The scalar of each row, all of them between prompt and baseline."""
        with torch.no_grad():
            return torch.cat(
                [self._resumed(rows) for rows in embeddings[:, self.n_shared :].split(self._rows)]
            )

    def slope(self) -> Slopes:
        """The scalar of the prompt and its gradient at every token."""
        return self._slopes(self.embedding[None], self.forward)

    def slopes(self, embeddings: Float[Tensor, "rows seq d_model"]) -> Slopes:
        """The scalar of each row, all of them between prompt and baseline, and its gradients.

        Gradients at the shared first tokens are not computed, and given as 0.
        """
        batches = [
            self._slopes(rows, self._resumed)
            for rows in embeddings[:, self.n_shared :].split(self._rows)
        ]
        values = torch.cat([batch.values for batch in batches])
        gradients = torch.cat([batch.gradients for batch in batches])
        return Slopes(values, pad(gradients, (0, 0, self.n_shared, 0)))

    def mixed(self, kept: Bool[Tensor, "rows seq"]) -> Float[Tensor, "rows seq d_model"]:
        """The prompt where it is kept, the baseline elsewhere."""
        return torch.where(kept[..., None].to(self.embedding.device), self.embedding, self.baseline)

    def forward(
        self, embeddings: Float[Tensor, "rows seq d_model"], extra: Parameters | None = None
    ) -> Float[Tensor, " rows"]:
        """One pass; with gradients if they are enabled, under the caller's hooks."""
        return self._scalar(embeddings, {**(self.parameters or {}), **(extra or {})}, None)

    def _resumed(
        self, embeddings: Float[Tensor, "rows unshared d_model"]
    ) -> Float[Tensor, " rows"]:
        """One pass that continues after the tokens that all rows share."""
        past = DynamicCache()
        for layer, (keys, values) in enumerate(self._shared):
            past.update(
                keys.expand(len(embeddings), -1, -1, -1),
                values.expand(len(embeddings), -1, -1, -1),
                layer,
            )
        return self._scalar(embeddings, self.parameters or {}, past if self._shared else None)

    @cached_property
    def _shared(
        self,
    ) -> list[tuple[Float[Tensor, "1 head shared width"], Float[Tensor, "1 head shared width"]]]:
        """Each layer's keys and values of the shared tokens."""
        if not self.n_shared:
            return []
        past = DynamicCache()
        with torch.no_grad():
            self._pass(self.embedding[None, : self.n_shared], self.parameters or {}, past)
        return [(layer.keys, layer.values) for layer in cast(Any, past).layers]

    def _scalar(
        self, embeddings: Tensor, parameters: Parameters, past: Cache | None
    ) -> Float[Tensor, " rows"]:
        run = self._activation if isinstance(self.scalar, Activation) else self._logits
        return run(embeddings, parameters, past)

    @property
    def _rows(self) -> int:
        return max(1, BATCH_TOKENS // (len(self.ids) - self.n_shared))

    def _embed(self, ids: Int[Tensor, " seq"]) -> Float[Tensor, "seq d_model"]:
        with torch.no_grad():
            return self.subject.model.get_input_embeddings()(ids[None].to(self.subject.device))[0]

    def _slopes(
        self,
        embeddings: Float[Tensor, "rows seq d_model"],
        run: Callable[[Tensor], Float[Tensor, " rows"]],
    ) -> Slopes:
        with torch.enable_grad():
            leaf = embeddings.detach().clone().requires_grad_()
            values = run(leaf)
            (gradients,) = torch.autograd.grad(values.sum(), leaf, materialize_grads=True)
        for found in (values, gradients):
            require_finite(found, self.subject.name, self.subject.dtype, "this text", edited=False)
        return Slopes(values.detach(), gradients)

    def _pass(self, embeddings: Tensor, parameters: Parameters, past: Cache | None) -> Any:
        options: dict[str, Any] = {"inputs_embeds": embeddings, "logits_to_keep": 1}
        options |= {"past_key_values": past, "use_cache": past is not None}
        if not parameters:
            return self.subject.model(**options)
        return functional_call(self.subject.model, dict(parameters), kwargs=options)

    def _logits(
        self, embeddings: Tensor, parameters: Parameters, past: Cache | None
    ) -> Float[Tensor, " rows"]:
        assert isinstance(self.scalar, Logits)
        logits = at_least_float32(self._pass(embeddings, parameters, past).logits[:, -1])
        value = logits[:, list(self.scalar.answer)].mean(1)
        return value - logits[:, list(self.scalar.foil)].mean(1) if self.scalar.foil else value

    def _activation(
        self, embeddings: Tensor, parameters: Parameters, past: Cache | None
    ) -> Float[Tensor, " rows"]:
        assert isinstance(self.scalar, Activation)
        unit, activation = self.scalar.unit, list[Tensor]()
        layer = self.subject.parts.layers[unit.layer]

        def read(value: Float[Tensor, "rows seq width"]) -> None:
            activation.append(_unit_value(self.subject, unit, at_least_float32(value[:, -1])))
            raise StopForward  # the scalar is known

        with temporary_hooks() as hooks:
            if unit.site == "resid":
                hooks.on_output(layer.whole, read)
            else:
                hooks.on_input(layer.mlp_down if unit.site == "mlp" else layer.attention_out, read)
            self._pass(embeddings, parameters, past)
        return -activation[0] if unit.side == "-" else activation[0]


def make_target(
    subject: Subject,
    scalar: Scalar,
    ids: Sequence[int],
    counterfactual: Sequence[int] | None = None,
    baseline: BaselineKind = "counterfactual",
) -> AttributionTarget:
    """Check what is asked, and cut the prompt at the scalar's position.

    Raises:
        UsageError: no counterfactual, or one of another length or that is the prompt itself; a position beyond the
            text; a unit that the subject lacks, or that is planted (computed from text, so that it
            has no gradient).
    """
    position = len(ids) - 1 if scalar.position is None else scalar.position
    if not 0 <= position < len(ids):
        raise UsageError(f"position {position} given; the text has tokens 0 to {len(ids) - 1}")
    _check(subject, scalar)
    cut = torch.tensor(list(ids[: position + 1]))
    if baseline == "zero":
        return AttributionTarget(subject, scalar, cut, None)
    if baseline == "eos":
        return AttributionTarget(subject, scalar, cut, torch.full_like(cut, _end(subject)))
    if counterfactual is None or len(counterfactual) != len(ids):
        other = "none" if counterfactual is None else f"one of {len(counterfactual)}"
        raise UsageError(
            f"the text has {len(ids)} tokens and {other} was given as its counterfactual: give a text of as many "
            "tokens that differs in what you ask about"
        )
    twin = torch.tensor(list(counterfactual[: position + 1]))
    if torch.equal(cut, twin):
        raise UsageError(
            f"text and counterfactual are the same up to position {position}: nothing could be credited"
        )
    return AttributionTarget(subject, scalar, cut, twin)


def _check(subject: Subject, scalar: Scalar) -> None:
    subject.require_decoder("attribution")
    if isinstance(scalar, Activation):
        column = subject.shape.column(scalar.unit)
        if (
            scalar.unit.site == "mlp"
            and column >= matrix(subject.parts.layers[scalar.unit.layer].mlp_down).shape[1]
        ):
            raise UsageError(
                f"{str(scalar.unit)!r} is computed from the text and not from embeddings: no attribution"
            )
        return
    vocabulary = subject.model.get_input_embeddings().weight.shape[0]
    tokens = (*scalar.answer, *scalar.foil)
    if not scalar.answer or not all(0 <= token < vocabulary for token in tokens):
        raise UsageError(
            f"answers {scalar.answer} and foils {scalar.foil} given; expected token ids below {vocabulary}"
        )
    if set(scalar.answer) & set(scalar.foil):
        raise UsageError(
            f"answers {scalar.answer} and foils {scalar.foil} share a token: no difference to attribute"
        )


def _end(subject: Subject) -> int:
    end = subject.tokenizer.eos_token_id
    if end is None or end >= subject.model.get_input_embeddings().weight.shape[0]:
        raise UsageError(f"{subject.name} has no end-of-sequence token; give a counterfactual")
    return end


def _unit_value(
    subject: Subject, unit: Unit, value: Float[Tensor, "rows width"]
) -> Float[Tensor, " rows"]:
    if unit.site == "mlp":
        return value[:, unit.index]
    if unit.site == "resid":
        return value @ subject.directions[unit.layer][unit.name].to(value.dtype)
    z = value[:, unit.index * subject.head_dim : (unit.index + 1) * subject.head_dim]
    return (z @ subject.head_matrices(unit.layer)[unit.index].to(z.dtype).T).norm(dim=-1)
