"""Speed of the circuit engine as ratios: exact patching compared with a plain loop, attribution with
one backward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .ratios import REPEATS, SpeedComparison, compare, seconds

if TYPE_CHECKING:
    from ...tools.circuits.circuit_model import CircuitModel
    from ...tools.circuits.prompts import PromptPairs
    from ...tools.subject import Subject
    from ...tools.subject.address import Unit

PAIRS, TOKENS = 4, 14
SHORT_SWEEP = 6
"""Units of the shorter sweep."""


def circuits_speed(subject: Subject) -> list[SpeedComparison]:
    """Both ratios, on random prompts of the size of four IOI prompts.

    Empty for a family whose edges are not supported.
    """
    from ...tools.circuits.circuit_model import WIRINGS
    from ...tools.circuits.selftest import open_circuit_model
    from ...tools.circuits.sweep import Sweep
    from ...tools.subject.address import Unit

    if subject.architecture.model_type not in WIRINGS:
        return []
    model, pairs = open_circuit_model(subject), random_pairs(subject)
    step = max(1, subject.shape.n_layers // 6)
    layers = range(step // 2, subject.shape.n_layers, step)  # their mean is the middle layer
    units = [Unit("head", layer, head) for layer in layers for head in range(subject.shape.n_heads)]
    heads = compare(
        f"{len(units)} heads patched exactly",
        lambda: Sweep(model, pairs).units(units).cpu().numpy(),
        lambda: naive_heads(subject, pairs, units),
        "a whole forward pass a head",
        atol=1e-4,  # logits near 20 in single precision
    )
    return [heads, _attribution(model, pairs)]


class SweepScaling(NamedTuple):
    """A sweep and one ten times as long; `ratio` is that of their CPU seconds."""

    few: int
    many: int
    few_seconds: float
    many_seconds: float
    ratio: float


def longer_sweep(subject: Subject) -> SweepScaling:
    """Time exact patching of some neurons of the middle layer, and of ten times as many.

    Both include the passes that every sweep needs.
    """
    from ...tools.circuits.selftest import open_circuit_model
    from ...tools.circuits.sweep import Sweep
    from ...tools.subject.address import Site, Unit

    model, pairs = open_circuit_model(subject), random_pairs(subject)
    layer = subject.shape.n_layers // 2
    n = min(SHORT_SWEEP, subject.shape.count(Site("mlp", layer)) // 10)
    units = [Unit("mlp", layer, neuron) for neuron in range(n * 10)]
    short: list[float] = []
    long: list[float] = []
    for _ in range(REPEATS):  # in turn, so that a busy moment of the machine hits both
        short.append(seconds(lambda: Sweep(model, pairs).units(units[:n])))
        long.append(seconds(lambda: Sweep(model, pairs).units(units)))
    few, many = min(short), min(long)
    return SweepScaling(n, len(units), few, many, many / few)


def random_pairs(subject: Subject) -> PromptPairs:
    """Four pairs of random prompts that differ in one token."""
    import torch

    from ...tools.circuits.prompts import PromptPairs

    vocabulary = subject.model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(1, vocabulary, (PAIRS, TOKENS), generator=generator)
    corrupted = clean.clone()
    corrupted[:, TOKENS // 2] = torch.randint(1, vocabulary, (PAIRS,), generator=generator)
    answer = torch.full((PAIRS, 1), 1)
    return PromptPairs(clean, corrupted, answer, answer + 1)


def naive_heads(
    subject: Subject, pairs: PromptPairs, units: list[Unit]
) -> Float[np.ndarray, "head pairs"]:
    """Effects of patching heads, with plain hooks and one forward pass per head."""
    import torch

    from ...tools.subject.address import Site

    twin = subject.capture(pairs.corrupted, [Site("z", unit.layer) for unit in units]).activations
    width = subject.head_dim

    def patched(unit: Unit) -> Any:
        columns = slice(unit.index * width, (unit.index + 1) * width)

        def hook(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            value = args[0].clone()
            value[..., columns] = twin[Site("z", unit.layer)][..., columns]
            return (value,)

        handle = subject.parts.layers[unit.layer].attention_out.register_forward_pre_hook(hook)
        try:
            return pairs.logit_difference(subject.model(pairs.clean, use_cache=False).logits[:, -1])
        finally:
            handle.remove()

    with torch.inference_mode():
        clean = pairs.logit_difference(subject.model(pairs.clean, use_cache=False).logits[:, -1])
        return torch.stack([patched(unit) - clean for unit in units]).cpu().numpy()


def _attribution(model: CircuitModel, pairs: PromptPairs) -> SpeedComparison:
    """Scores of everything, compared with one forward and backward pass.

    Here the naive way is the lower bound.
    """
    import torch

    from ...tools.circuits.attribution import attribute

    def forward_and_backward() -> None:
        embedding = (
            model.subject.model.get_input_embeddings()(pairs.clean).detach().requires_grad_()
        )
        logits = model.subject.model(
            inputs_embeds=embedding, use_cache=False, logits_to_keep=1
        ).logits[:, -1]
        torch.autograd.grad(pairs.logit_difference(logits).sum(), embedding)

    ours = min(seconds(lambda: attribute(model, pairs)) for _ in range(REPEATS))
    naive = min(seconds(forward_and_backward) for _ in range(REPEATS))
    name = f"attribution of all heads, neurons and {model.graph.n_edges:,} edges"
    return SpeedComparison(
        name, ours, naive, naive / ours, "one forward and backward pass, which scores nothing"
    )
