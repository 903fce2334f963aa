"""Memory that scoring edges takes, so that what does not fit is refused before it starts.

Per token that is scored at once: every source's change (sources x d_model), and for each layer what
a forward and a backward pass keep, 24 values as wide as the stream and 8 as wide as the MLP
(records, gradients and autograd's own). Measured on the default subject: 4.1 MB per token with
eap-ig-inputs; this formula gives 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..errors import UsageError
from ..files.memory import free_memory
from ..files.sizes import readable_size
from ..subject.address import Site

if TYPE_CHECKING:
    from .circuit_model import CircuitModel
    from .prompts import PromptPairs

STREAMS, WIDTHS = 24, 8
SPARE = 1.25
"""Allocators do not give memory back at once."""


def bytes_per_token(model: CircuitModel) -> int:
    """Bytes that attribution of all edges takes per token of the clean prompts scored at once."""
    subject, graph = model.subject, model.graph
    neurons = sum(subject.shape.count(Site("mlp", layer)) for layer in range(graph.n_layers))
    values = (len(graph.sources) + STREAMS * graph.n_layers) * subject.d_model + WIDTHS * neurons
    return round(values * subject.dtype.itemsize * SPARE)


def check_fits(
    model: CircuitModel, pairs: PromptPairs, factor: float = 1.0, free: int | None = None
) -> None:
    """Refuse pairs that cannot be scored in the free memory.

    Args:
        factor: memory of the method, relative to attribution's.
        free: bytes; None asks the system.

    Raises:
        UsageError: they do not fit; says what would.
    """
    free = _free(model) if free is None else free
    per_token = bytes_per_token(model) * factor
    if free is None or len(pairs) * pairs.n_tokens * per_token <= free:
        return
    limit, n = int(free / per_token), pairs.n_tokens
    fit = (
        f"{limit // n} pairs of this length at once"
        if limit >= n
        else f"prompts of at most {limit} tokens"
    )
    raise UsageError(
        f"scoring {len(pairs)} pairs of {n} tokens takes {_gb(len(pairs) * n * per_token)} in addition to the "
        f"subject, and {_gb(free)} are free: {fit} would fit; write shorter "
        "prompts, or take a smaller subject or more memory"
    )


def _free(model: CircuitModel) -> int | None:
    device = model.subject.device
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()


def _gb(size: float) -> str:
    return readable_size(int(size))
