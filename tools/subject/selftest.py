"""Does the architecture's table describe this model? Checked on every loaded subject, in two passes
of a few tokens.

1. What enters the output projection has exactly heads x head_dim columns, what enters the down
   projection one a neuron.
2. In every layer: stream before + attention write + MLP write = stream after, and the writes are
   what the two projections put out (or its norm, in post-norm families).
3. Zeroing a layer's heads, or its neurons, changes the logits; patching the stream with itself does
   not; afterwards they are what they were.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import UsageError
from .address import Site, Unit
from .architectures import first_tensor
from .interventions import Intervention

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


class _Passage(NamedTuple):
    """What went into a module and what came out."""

    entered: Float[Tensor, "1 seq width"] | None
    left: Float[Tensor, "1 seq width"]


def _passages(subject: Subject) -> dict[tuple[str, int], _Passage]:
    """Input and output of each layer's parts in one pass."""
    seen: dict[tuple[str, int], _Passage] = {}

    def watch(module: nn.Module, key: tuple[str, int]) -> RemovableHandle:
        def hook(
            _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
        ) -> None:
            seen[key] = _Passage(
                args[0] if args else kwargs.get("hidden_states"), first_tensor(output)
            )

        return module.register_forward_hook(hook, with_kwargs=True)

    with ExitStack() as stack, torch.inference_mode():
        for layer, parts in enumerate(subject.parts.layers):
            for what in ("whole", "attention_write", "attention_out", "mlp_write", "mlp_down"):
                stack.callback(watch(getattr(parts, what), (what, layer)).remove)
        subject.model(_ids(subject), use_cache=False)
    return seen


def _not_additive(subject: Subject) -> str | None:
    seen = _passages(subject)
    for layer in range(subject.shape.n_layers):
        whole, attention, mlp = (
            seen[what, layer] for what in ("whole", "attention_write", "mlp_write")
        )
        assert whole.entered is not None  # a layer takes the stream
        total = whole.entered.float() + attention.left.float() + mlp.left.float()
        if not _close(total, whole.left, subject.dtype):
            return f"in layer {layer} the attention and MLP writes do not add up to the change of the residual stream"
        for projection, write in (("attention_out", attention), ("mlp_down", mlp)):
            written = seen[projection, layer].left
            if not any(
                _close(written, value, subject.dtype) for value in write if value is not None
            ):
                return f"in layer {layer} what {projection} puts out is not what is written, nor what its norm takes"
    return None


def _close(one: Tensor, two: Tensor, dtype: torch.dtype) -> bool:
    if one.shape != two.shape:
        return False
    return bool(
        (one.float() - two.float()).norm() <= _TOLERANCE[dtype] * (two.float().norm() + 1e-6)
    )


def _not_in_effect(subject: Subject) -> str | None:
    ids = _ids(subject)
    middle = subject.shape.n_layers // 2
    clean = subject.capture(ids, [], logits=True).logits
    assert clean is not None  # asked for
    for kind in ("head", "mlp"):
        site = Site(kind, middle)
        zeros = [
            Intervention(Unit(kind, middle, index), "zero")
            for index in range(subject.shape.count(site))
        ]
        ablated = subject.capture(ids, [], interventions=[zeros], logits=True).logits
        if ablated is None or torch.equal(ablated, clean):
            return f"zeroing all {kind} units of layer {middle} changes nothing"
    itself = Intervention(Unit("resid", middle), "patch", source=tuple(ids[0].tolist()))
    same = subject.capture(ids, [], interventions=[[itself]], logits=True).logits
    if same is None or not _close(same, clean, subject.dtype):
        return f"patching the stream after layer {middle} with itself changes the logits"
    if not torch.equal(clean, subject.model(ids, use_cache=False).logits):
        return "its logits are not the same after an intervention was taken away"
    return None
