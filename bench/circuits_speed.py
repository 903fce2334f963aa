"""Speed of the circuit engine as ratios: exact patching against a plain loop, attribution against one backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .speed import REPEATS, SpeedComparison, compare, seconds

if TYPE_CHECKING:
    from ..tools.circuits.circuit_model import CircuitModel
    from ..tools.circuits.prompts import PromptPairs
    from ..tools.subject import Subject
    from ..tools.subject.address import Unit

PAIRS, TOKENS = 4, 14
FEW = 6
"""Units of the shorter sweep."""


def circuits_speed(subject: Subject) -> list[SpeedComparison]:
    """Both ratios on random prompts of the size of four IOI prompts; empty for a family without edges."""
    from ..tools.circuits.circuit_model import WIRINGS
    from ..tools.circuits.selftest import open_circuit_model
    from ..tools.circuits.sweep import Sweep
    from ..tools.subject.address import Unit

    if subject.architecture.model_type not in WIRINGS:
        return []
    model, pairs = open_circuit_model(subject), random_pairs(subject)
    step = max(1, subject.shape.n_layers // 6)
    layers = range(step // 2, subject.shape.n_layers, step)  # in the mean the middle one
    units = [Unit("head", layer, head) for layer in layers for head in range(subject.shape.n_heads)]
    heads = compare(
        f"{len(units)} heads patched exactly",
        lambda: Sweep(model, pairs).units(units).cpu().numpy(),
        lambda: naive_heads(subject, pairs, units),
        "a whole forward pass a head",
        atol=1e-4,  # differences of logits near 20 in single precision
    )
    return [heads, _attribution(model, pairs)]


class Longer(NamedTuple):
    """A sweep and one ten times as long; `ratio` of their CPU seconds."""

    few: int
    many: int
    few_seconds: float
    many_seconds: float
    ratio: float


def longer_sweep(subject: Subject) -> Longer:
    """Neurons of the middle layer patched exactly, and ten times as many, with the passes that both need."""
    from ..tools.circuits.selftest import open_circuit_model
    from ..tools.circuits.sweep import Sweep
    from ..tools.subject.address import Site, Unit

    model, pairs, layer = (
        open_circuit_model(subject),
        random_pairs(subject),
        subject.shape.n_layers // 2,
    )
    n = min(FEW, subject.shape.count(Site("mlp", layer)) // 10)
    units = [Unit("mlp", layer, neuron) for neuron in range(n * 10)]
    taken = [
        (
            seconds(lambda: Sweep(model, pairs).units(units[:n])),
            seconds(lambda: Sweep(model, pairs).units(units)),
        )
        for _ in range(REPEATS)
    ]
    few, many = (min(each[at] for each in taken) for at in (0, 1))
    return Longer(n, len(units), few, many, many / few)


def random_pairs(subject: Subject) -> PromptPairs:
    """Four pairs of random tokens that differ in one place."""
    import torch

    from ..tools.circuits.prompts import PromptPairs

    vocabulary = subject.model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(1, vocabulary, (PAIRS, TOKENS), generator=generator)
    corrupted = clean.clone()
    corrupted[:, TOKENS // 2] = torch.randint(1, vocabulary, (PAIRS,), generator=generator)
    answer = torch.full((PAIRS, 1), 1)
    return PromptPairs(clean, corrupted, answer, answer + 1)


def naive_heads(subject: Subject, pairs: PromptPairs, units: list[Unit]) -> np.ndarray:
    """Effects of patching heads, with plain hooks and a whole pass a head."""
    import torch

    from ..tools.subject.address import Site

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
    """Everything scored, beside one forward and backward pass: here the naive way is the lower bound."""
    import torch

    from ..tools.circuits.attribution import attribute

    def bare() -> None:
        embedding = (
            model.subject.model.get_input_embeddings()(pairs.clean).detach().requires_grad_()
        )
        logits = model.subject.model(
            inputs_embeds=embedding, use_cache=False, logits_to_keep=1
        ).logits[:, -1]
        torch.autograd.grad(pairs.logit_difference(logits).sum(), embedding)

    ours = min(seconds(lambda: attribute(model, pairs)) for _ in range(REPEATS))
    naive = min(seconds(bare) for _ in range(REPEATS))
    name = f"attribution of all heads, neurons and {model.graph.n_edges:,} edges"
    return SpeedComparison(
        name, ours, naive, naive / ours, "one forward and backward pass, which scores nothing"
    )
