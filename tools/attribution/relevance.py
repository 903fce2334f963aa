"""Layer-wise relevance propagation with conserving rules: the relevance that enters a module equals
what leaves it.

    relevance of a token = its embedding . gradient of the scalar, under these rules for the
    backward pass

1. A norm is linear, its scale a constant.
2. So is attention, its pattern a constant: queries and keys carry no relevance, values carry it
   all.
3. An activation function multiplies by the constant a(g) / g.
4. Of a product (gated MLPs) each factor gets half.
5. Biases and position embeddings take their own share, `absorbed`.

Under these rules the scalar is homogeneous of degree 1 in embeddings and biases, so relevance adds
up to the scalar (Euler). Rules 1 and 2 are those of Ali et al. 2022 ("XAI for Transformers: better
explanations through conservative propagation"), 3 and 4 the identity and the uniform rule (Achtibat
et al. 2024). Written from these papers. Relevance propagation is patented by others in some
countries, and the reference implementation's licence reserves those patents. So it runs only when
requested by name; ask a lawyer before you sell something built on it.

The rules are hooks of one block; transformers is not patched. Rule 2 cannot see effects of where
attention looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..circuits.circuit_model import WIRINGS, Wiring, find_projections
from ..circuits.hooks import Hooks, temporary_hooks
from ..errors import UsageError
from ..subject.architectures import NormKind, norm_scale
from ..subject.subject import Subject
from .result import TOLERANCE, TokenAttribution, relative
from .target import AttributionTarget, Logits

LICENCE = "relevance propagation is patented in some countries: see tools/attribution/relevance.py before selling it"


def relevance(target: AttributionTarget) -> TokenAttribution:
    """Relevance of each token; `error` says how far relevance and scalar differ.

    Raises:
        UsageError: the family caps its logits, or the rules change its forward pass, so that they do not fit it.
    """
    _check(target)
    bare = float(target.values(target.embedding[None]))
    names = _additive(target.subject)
    own: dict[str, Tensor] = dict(target.subject.model.named_parameters())
    own |= target.parameters or {}
    leaves = {name: own[name].detach().clone().requires_grad_() for name in names}
    with conserving(target.subject), torch.enable_grad():
        embedding = target.embedding[None].detach().clone().requires_grad_()
        value = target.forward(embedding, leaves)[0]
        gradients = torch.autograd.grad(value, [embedding, *leaves.values()], allow_unused=True)
    value = value.detach()
    if abs(float(value) - bare) > 1e-3 * (1 + abs(bare)):
        raise UsageError(
            f"the rules turn the scalar {bare:.6g} into {float(value):.6g}: they do not fit this model"
        )
    scores = (embedding * cast(Tensor, gradients[0])).sum(-1)[0].detach()
    taken = zip(leaves.values(), gradients[1:], strict=True)
    absorbed = sum(
        float((leaf.detach() * slope).sum()) for leaf, slope in taken if slope is not None
    )
    error = relative(abs(float(scores.sum()) + absorbed - float(value)), float(value))
    return TokenAttribution(
        "relevance",
        scores.cpu().numpy(),
        float(value),
        "converged" if error <= TOLERANCE else "not_converged",
        error=error,
        evaluations=2,
        absorbed=absorbed,
        notes=(LICENCE,),
    )


def _check(target: AttributionTarget) -> None:
    config: Any = target.subject.model.config
    if isinstance(target.scalar, Logits) and getattr(config, "final_logit_softcapping", None):
        raise UsageError(
            f"{target.subject.name} caps its logits, which no rule here conserves; ask for a unit's activation, or "
            "take integrated_gradients"
        )


def _additive(subject: Subject) -> list[str]:
    """Names of weights that are added regardless of the text: biases and learned positions."""
    return [
        name
        for name, _ in subject.model.named_parameters()
        if name.endswith((".bias", ".wpe.weight"))
    ]


@contextmanager
def conserving(subject: Subject) -> Iterator[None]:
    """Apply the rules inside the block, to this subject alone."""
    family = subject.architecture.model_type
    wiring = WIRINGS.get(family, Wiring())
    with temporary_hooks() as hooks:
        for module in subject.model.modules():
            if isinstance(module, nn.LayerNorm) or type(module).__name__.endswith("RMSNorm"):
                hooks.on_forward(module, partial(_norm, subject.architecture.norm))
        for layer in subject.parts.layers:
            projections = find_projections(layer.whole, wiring, family)
            _hold_pattern(hooks, subject, wiring, projections)
            hooks.on_forward(layer.activation, _activation)
            if len(layer.mlp_rows) == 2 or subject.architecture.fused:
                hooks.on_input(layer.mlp_down, _halved)
        yield


def _norm(
    kind: NormKind, module: nn.Module, entered: Float[Tensor, "*rows width"], _left: Tensor
) -> Float[Tensor, "*rows width"]:
    centred = entered - entered.mean(-1, keepdim=True) if kind == "layer" else entered
    epsilon: float = getattr(module, "variance_epsilon", None) or cast(Any, module).eps
    scale = (centred.pow(2).mean(-1, keepdim=True) + epsilon).rsqrt().detach()
    scaled = centred * scale * norm_scale(module, kind)
    bias = cast("Tensor | None", getattr(module, "bias", None))
    return scaled if bias is None else scaled + bias


def _activation(_module: nn.Module, entered: Tensor, left: Tensor) -> Tensor:
    ratio = torch.where(entered == 0, 0.5, left / torch.where(entered == 0, 1, entered))
    return entered * ratio.detach()


def _halved(value: Tensor) -> Tensor:
    return 0.5 * value + (0.5 * value).detach()


def _hold_pattern(
    hooks: Hooks, subject: Subject, wiring: Wiring, projections: tuple[nn.Module, ...]
) -> None:
    if wiring.layout == "separate":
        for module in projections[:2]:
            hooks.on_output(module, torch.Tensor.detach)
        return
    hooks.on_output(projections[0], partial(_hold, _is_value(subject, wiring)))


def _hold(
    is_value: Bool[Tensor, " width"], value: Float[Tensor, "*rows width"]
) -> Float[Tensor, "*rows width"]:
    return torch.where(is_value.to(value.device), value, value.detach())


def _is_value(subject: Subject, wiring: Wiring) -> Bool[Tensor, " width"]:
    """Which columns of a fused projection are values."""
    heads, width = subject.shape.n_heads, subject.head_dim
    kv = getattr(subject.model.config, "num_key_value_heads", None) or heads
    if wiring.layout == "interleaved":
        return torch.tensor([False, False, True]).repeat(heads).repeat_interleave(width)
    return torch.cat(
        [
            torch.zeros((heads + kv) * width, dtype=torch.bool),
            torch.ones(kv * width, dtype=torch.bool),
        ]
    )
