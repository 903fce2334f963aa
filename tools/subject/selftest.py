"""Does the architecture's table describe this model? Checked on every loaded subject, in two passes of a few tokens.

1. What enters the output projection has exactly heads x head_dim columns, what enters the down projection one a neuron.
2. In every layer: stream before + attention write + MLP write = stream after.
3. Zeroing a layer's heads, or its neurons, changes the logits; afterwards they are what they were.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import UsageError
from .address import Site, Unit
from .architectures import first_tensor
from .intervene import Intervention

if TYPE_CHECKING:
    from .subject import Subject

_N_TOKENS = 5
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def self_test(subject: Subject) -> None:
    """Raise UsageError with what does not fit when the subject's architecture is described wrongly."""
    fault = _wrong_columns(subject) or _not_additive(subject) or _not_in_effect(subject)
    if fault:
        raise UsageError(
            f"{subject.name!r} does not fit the {subject.architecture.model_type!r} table in "
            f"tools/subject/architectures.py: {fault}. Correct or add its entry"
        )


def _ids(subject: Subject) -> Int[Tensor, "1 seq"]:
    vocabulary = subject.model.get_input_embeddings().weight.shape[0]
    return (torch.arange(1, _N_TOKENS + 1) * 7919 % vocabulary)[None].to(subject.device)


def _wrong_columns(subject: Subject) -> str | None:
    last = subject.shape.n_layers - 1
    captured = subject.capture(_ids(subject), [Site("z", last), Site("mlp", last)]).activations
    heads = captured[Site("z", last)].shape[-1]
    if heads != subject.shape.n_heads * subject.head_dim:
        return f"its attention output takes {heads} columns, which {subject.shape.n_heads} heads do not share evenly"
    neurons = captured[Site("mlp", last)].shape[-1]
    if neurons != subject.shape.count(Site("mlp", last)):
        return f"its down projection takes {neurons} columns for {subject.shape.count(Site('mlp', last))} neurons"
    return None


def _not_additive(subject: Subject) -> str | None:
    before: dict[int, Tensor] = {}
    outputs: dict[tuple[str, int], Tensor] = {}

    def keep_input(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], *, layer: int) -> None:
        before[layer] = args[0] if args else kwargs["hidden_states"]

    def keep_output(_module: nn.Module, _args: Any, output: Any, *, key: tuple[str, int]) -> None:
        outputs[key] = first_tensor(output)

    with ExitStack() as stack, torch.inference_mode():
        for layer, parts in enumerate(subject.parts.layers):
            hook = _with(keep_input, layer=layer)
            stack.callback(parts.whole.register_forward_pre_hook(hook, with_kwargs=True).remove)
            for what, module in (("attn", parts.attention_write), ("mlp", parts.mlp_write), ("after", parts.whole)):
                stack.callback(module.register_forward_hook(_with(keep_output, key=(what, layer))).remove)
        subject.model(_ids(subject), use_cache=False)
    for layer, stream in before.items():
        total = stream.float() + outputs["attn", layer].float() + outputs["mlp", layer].float()
        if not _close(total, outputs["after", layer], subject.dtype):
            return f"in layer {layer} the attention and MLP writes do not add up to the change of the residual stream"
    return None


def _with(hook: Any, **fixed: Any) -> Any:
    return lambda *args: hook(*args, **fixed)


def _close(one: Float[Tensor, "*shape"], two: Float[Tensor, "*shape"], dtype: torch.dtype) -> bool:
    return bool((one - two.float()).norm() <= _TOLERANCE[dtype] * (two.float().norm() + 1e-6))


def _not_in_effect(subject: Subject) -> str | None:
    ids = _ids(subject)
    middle = subject.shape.n_layers // 2
    clean = subject.capture(ids, [], logits=True).logits
    assert clean is not None  # asked for
    for kind in ("head", "mlp"):
        site = Site(kind, middle)
        zeros = [Intervention(Unit(kind, middle, index), "zero") for index in range(subject.shape.count(site))]
        ablated = subject.capture(ids, [], interventions=[zeros], logits=True).logits
        if ablated is None or torch.equal(ablated, clean):
            return f"zeroing all {kind} units of layer {middle} changes nothing"
    if not torch.equal(clean, subject.model(ids, use_cache=False).logits):
        return "its logits are not the same after an intervention was taken away"
    return None
