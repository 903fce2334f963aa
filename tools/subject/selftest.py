"""Self-test of every loaded subject: does the architecture's table describe this model?

1. The input of the output projection has exactly heads x head_dim columns, that of the down
   projection one per neuron.
2. In every layer: stream before + attention write + MLP write = stream after, and the writes are
   the outputs of the two projections (or their norms, in post-norm families).
3. Zeroing a layer's heads, or its neurons, changes the logits; patching the stream with itself does
   not; afterwards the logits are the same as before.

An encoder normalises each of the two sums in step 2, and has its last stream instead of logits.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """Raise UsageError with the mismatch if the subject's architecture is described wrongly."""
    fault = _column_fault(subject) or _stream_fault(subject) or _edit_fault(subject)
    if fault:
        raise UsageError(
            f"{subject.name!r} does not fit the {subject.architecture.model_type!r} table in "
            f"tools/subject/architectures.py: {fault}. Correct or add its entry"
        )


def _ids(subject: Subject) -> Int[Tensor, "1 seq"]:
    vocabulary = subject.model.get_input_embeddings().weight.shape[0]
    return (torch.arange(1, _N_TOKENS + 1) * 7919 % vocabulary)[None].to(subject.device)


def _column_fault(subject: Subject) -> str | None:
    last = subject.shape.n_layers - 1
    captured = subject.capture(_ids(subject), [Site("z", last), Site("mlp", last)]).activations
    heads = captured[Site("z", last)].shape[-1]
    if heads != subject.shape.n_heads * subject.head_dim:
        return (
            f"its attention output takes {heads} columns, "
            f"which {subject.shape.n_heads} heads do not share evenly"
        )
    columns, neurons = captured[Site("mlp", last)].shape[-1], subject.shape.count(Site("mlp", last))
    if columns != neurons:
        return f"its down projection takes {columns} columns for {neurons} neurons"
    return None


class _ModuleCall(NamedTuple):
    """A module's input and output."""

    input: Float[Tensor, "1 seq width"] | None
    output: Float[Tensor, "1 seq width"]


def _record_calls(subject: Subject) -> dict[tuple[str, int], _ModuleCall]:
    """Input and output of each layer's modules in one pass."""
    calls: dict[tuple[str, int], _ModuleCall] = {}

    def watch(module: nn.Module, key: tuple[str, int]) -> RemovableHandle:
        def hook(
            _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
        ) -> None:
            entered = args[0] if args else kwargs.get("hidden_states")
            calls[key] = _ModuleCall(entered, first_tensor(output))

        return module.register_forward_hook(hook, with_kwargs=True)

    with ExitStack() as stack, torch.inference_mode():
        for layer, parts in enumerate(subject.parts.layers):
            for name in ("whole", "attention_write", "attention_out", "mlp_write", "mlp_down"):
                stack.callback(watch(getattr(parts, name), (name, layer)).remove)
        subject.model(_ids(subject), use_cache=False)
    return calls


def _stream_fault(subject: Subject) -> str | None:
    calls = _record_calls(subject)
    for layer in range(subject.shape.n_layers):
        whole, attention = calls["whole", layer], calls["attention_write", layer]
        mlp = calls["mlp_write", layer]
        assert whole.input is not None  # a layer takes the stream
        total = _stream_after(subject, layer, whole.input, attention.output, mlp.output)
        if not _close(total, whole.output, subject.dtype):
            return (
                f"in layer {layer} the attention and MLP writes do not add up to the change "
                "of the residual stream"
            )
        for projection, write in (("attention_out", attention), ("mlp_down", mlp)):
            output = calls[projection, layer].output
            tensors = [value for value in write if value is not None]
            if not any(_close(output, value, subject.dtype) for value in tensors):
                return (
                    f"in layer {layer} the output of {projection} is neither what is written "
                    "nor the input of its norm"
                )
    return None


@torch.inference_mode()
def _stream_after(
    subject: Subject, layer: int, before: Tensor, attention: Tensor, mlp: Tensor
) -> Float[Tensor, "1 seq d_model"]:
    if not subject.bidirectional:
        return before.float() + attention.float() + mlp.float()
    norms = subject.parts.post_norms[layer]
    return norms.mlp(norms.attention(before + attention) + mlp).float()


def _close(value: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    if value.shape != expected.shape:
        return False
    difference = (value.float() - expected.float()).norm()
    return bool(difference <= _TOLERANCE[dtype] * (expected.float().norm() + 1e-6))


def _edit_fault(subject: Subject) -> str | None:
    ids = _ids(subject)
    middle = subject.shape.n_layers // 2
    clean = _outcome(subject, ids)
    what = "stream" if subject.bidirectional else "logits"
    for kind in ("head", "mlp"):
        indices = range(subject.shape.count(Site(kind, middle)))
        zeros = [Intervention(Unit(kind, middle, index), "zero") for index in indices]
        if torch.equal(_outcome(subject, ids, zeros), clean):
            return f"zeroing all {kind} units of layer {middle} changes nothing"
    self_patch = Intervention(Unit("resid", middle), "patch", source=tuple(ids[0].tolist()))
    if not _close(_outcome(subject, ids, [self_patch]), clean, subject.dtype):
        return f"patching the stream after layer {middle} with itself changes the {what}"
    if not torch.equal(clean, _outcome_without_hooks(subject, ids)):
        return f"its {what} are not the same after an intervention has been removed"
    return None


def _outcome(
    subject: Subject, ids: Int[Tensor, "1 seq"], changes: Sequence[Intervention] = ()
) -> Tensor:
    """The logits, or the last stream of an encoder, under some interventions."""
    interventions = [changes] if changes else None
    if subject.bidirectional:
        last = Site("stream", subject.shape.n_layers - 1)
        return subject.capture(ids, [last], interventions=interventions).activations[last]
    logits = subject.capture(ids, [], interventions=interventions, logits=True).logits
    assert logits is not None  # requested
    return logits


@torch.inference_mode()
def _outcome_without_hooks(subject: Subject, ids: Int[Tensor, "1 seq"]) -> Tensor:
    output = subject.model(ids, use_cache=False)
    return output.last_hidden_state if subject.bidirectional else output.logits
