"""What replacing units by their means does to items' preferences: estimated for all, run for some.

    preference of an item = score of its stereotype - score of its other text
    effect of a unit      = preference with the unit at its mean - preference as it is

1. Means of every neuron and of each head's z over other text; position 0, an attention sink, never
   counts and is never replaced.
2. Estimate: (mean - activation) times the gradient of the preference, summed over positions. One
   forward and one backward pass of a text give it for every unit (attribution patching, Nanda 2023;
   mean ablation in place of a twin, whose tokens need not match).
3. A set of units is checked by running the subject with all of them at their means.
4. A placebo of a unit is another one of its kind and layer whose replacement writes about as much to
   the residual stream: spread of the activation times the size of what it writes per activation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ..circuits.hooks import temporary_hooks
from ..errors import UsageError
from ..subject import Intervention
from ..subject.address import Site, Unit
from ..subject.architectures import matrix
from ..subject.input_texts import InputText, batches
from .items import BiasItem, WeightedText

if TYPE_CHECKING:
    from torch import Tensor

    from ..behaviour.sequence_probability import RowEdit
    from ..subject import Subject

BATCH_TOKENS = 512
"""Padded tokens of one backward pass: 3 GB with the default subject's logits and their gradient."""
NEAREST = 20
"""A placebo is drawn from this many units that are nearest in size to the unit it replaces."""


@dataclass(frozen=True, eq=False)
class UnitMeans:
    """Means of z and of neurons by layer over some text, and what replacing a unit writes.

    Attributes:
        head_size, neuron_size: root mean square of the write that is replaced, for each unit.
    """

    z: Float[np.ndarray, "layer width"]
    neurons: tuple[Float[np.ndarray, " neuron"], ...]
    head_size: Float[np.ndarray, "layer head"]
    neuron_size: tuple[Float[np.ndarray, " neuron"], ...]


@dataclass(frozen=True, eq=False)
class UnitEffects:
    """Estimated effects on the weighted mean preference of some items."""

    heads: Float[np.ndarray, "layer head"]
    neurons: tuple[Float[np.ndarray, " neuron"], ...]

    def ranked(self, n: int) -> list[Unit]:
        """The n units that are expected to lower the preference most, the strongest first."""
        found = [
            (float(effect), Unit("head", layer, head))
            for layer, row in enumerate(self.heads)
            for head, effect in enumerate(row)
        ]
        for layer, row in enumerate(self.neurons):
            lowest = np.argsort(row, kind="stable")[:n]
            found += [(float(row[index]), Unit("mlp", layer, int(index))) for index in lowest]
        found.sort(key=lambda pair: (pair[0], str(pair[1])))
        return [unit for effect, unit in found[:n] if effect < 0]

    def of(self, unit: Unit) -> float:
        """The estimate of one unit."""
        rows = self.heads if unit.site == "head" else self.neurons
        return float(rows[unit.layer][unit.index])


def unit_means(subject: Subject, texts: Sequence[Sequence[int]]) -> UnitMeans:
    """Means and sizes over token ids of some texts, position 0 left out.

    Raises:
        UsageError: no text has two tokens.
    """
    layers = range(subject.shape.n_layers)
    sites = [Site(kind, layer) for kind in ("z", "mlp") for layer in layers]
    sums: dict[Site, Any] = dict.fromkeys(sites, 0.0)
    squares: dict[Site, Any] = dict.fromkeys(sites, 0.0)
    n = 0
    for batch in batches([InputText.of_ids(list(ids)) for ids in texts if len(ids) > 1]):
        captured = subject.capture(batch.ids, sites).activations
        for row, text in enumerate(batch.texts):
            n += len(text.scored)
            for site in sites:
                values = captured[site][row, 1 : len(text.ids)].double()
                sums[site] = sums[site] + values.sum(0)
                squares[site] = squares[site] + values.square().sum(0)
    if not n:
        raise UsageError("no text with two tokens given; means need some other text")
    means = {site: (total / n).cpu().numpy() for site, total in sums.items()}
    spreads = {
        site: np.sqrt(np.maximum(squares[site].cpu().numpy() / n - means[site] ** 2, 0))
        for site in sites
    }
    head_sizes: list[np.ndarray] = []
    neuron_sizes: list[np.ndarray] = []
    for layer, parts in enumerate(subject.parts.layers):
        write = _column_norms(parts.attention_out) * spreads[Site("z", layer)]
        per_head = write.reshape(subject.shape.n_heads, -1)
        head_sizes.append(np.sqrt((per_head**2).sum(axis=1)))
        neuron_sizes.append(_column_norms(parts.mlp_down) * spreads[Site("mlp", layer)])
    return UnitMeans(
        np.stack([means[Site("z", layer)] for layer in layers]),
        tuple(means[Site("mlp", layer)] for layer in layers),
        np.stack(head_sizes),
        tuple(neuron_sizes),
    )


def _column_norms(module: Any) -> Float[np.ndarray, " input"]:
    return matrix(module).double().norm(dim=0).cpu().numpy()


def estimate_effects(
    subject: Subject,
    items: Sequence[BiasItem],
    weights: Float[np.ndarray, " item"],
    means: UnitMeans,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> UnitEffects:
    """Step 2 for every unit, summed over items with their weights."""
    signed = [
        (text, sign * float(weight))
        for item, weight in zip(items, weights, strict=True)
        for text, sign in zip(item.texts[:2], (1, -1), strict=True)
    ]
    n_layers = subject.shape.n_layers
    heads = np.zeros((n_layers, subject.shape.n_heads))
    neurons = [np.zeros(len(row)) for row in means.neurons]
    done = 0
    for batch in batches([InputText.of_ids(list(text.ids)) for text, _ in signed], BATCH_TOKENS):
        chosen = [signed[number] for number in batch.numbers]
        for (kind, layer), effect in _batch_effects(subject, batch.ids, chosen, means).items():
            if kind == "z":
                heads[layer] += effect.reshape(subject.shape.n_heads, -1).sum(axis=1)
            else:
                neurons[layer] += effect
        done += len(chosen)
        progress(done, len(signed))
    return UnitEffects(heads, tuple(neurons))


def _batch_effects(
    subject: Subject,
    ids: Tensor,
    texts: Sequence[tuple[WeightedText, float]],
    means: UnitMeans,
) -> dict[tuple[str, int], Float[np.ndarray, " width"]]:
    """By kind and layer the sum over texts and positions of (mean - activation) * gradient."""
    import torch

    values: dict[tuple[str, int], Tensor] = {}
    with temporary_hooks() as hooks, torch.enable_grad():
        embeddings = subject.model.get_input_embeddings()
        hooks.on_output(embeddings, lambda value: value.detach().clone().requires_grad_())
        for layer, parts in enumerate(subject.parts.layers):
            for kind, module in (("z", parts.attention_out), ("mlp", parts.mlp_down)):
                key = (kind, layer)
                hooks.on_input(module, lambda value, key=key: values.__setitem__(key, value))
        ids = ids.to(subject.device)
        logits = subject.model(ids, use_cache=False).logits
        total = _weighted_log_probs(logits, ids, texts)
        gradients = torch.autograd.grad(total, list(values.values()))
    effects: dict[tuple[str, int], np.ndarray] = {}
    inside = torch.zeros(ids.shape, device=ids.device)
    for row, (text, _) in enumerate(texts):
        inside[row, 1 : len(text.ids)] = 1
    for key, gradient in zip(values, gradients, strict=True):
        mean = (means.z if key[0] == "z" else means.neurons)[key[1]]
        change = torch.as_tensor(mean, device=ids.device) - values[key].detach().double()
        effect = (change * gradient.double() * inside[..., None]).sum((0, 1))
        effects[key] = effect.cpu().numpy()
    return effects


def _weighted_log_probs(
    logits: Tensor, ids: Tensor, texts: Sequence[tuple[WeightedText, float]]
) -> Tensor:
    """The scores of the texts, each times its weight, added up."""
    import torch

    weights = torch.zeros(ids.shape, device=ids.device)
    for row, (text, weight) in enumerate(texts):
        weights[row, : len(text.ids)] = weight * torch.tensor(text.weights, device=ids.device)
    rows, places = weights[:, 1:].nonzero(as_tuple=True)
    predictions = logits[rows, places].float()
    chosen = predictions.gather(1, ids[rows, places + 1][:, None])[:, 0]
    return ((chosen - predictions.logsumexp(-1)) * weights[rows, places + 1]).sum()


def ablation_edit(subject: Subject, units: Sequence[Unit], means: UnitMeans) -> RowEdit:
    """All the units at their means, at every position but the first."""
    width = subject.head_dim

    def value(unit: Unit) -> float | tuple[float, ...]:
        if unit.site != "head":
            return float(means.neurons[unit.layer][unit.index])
        own = means.z[unit.layer][unit.index * width : (unit.index + 1) * width]
        return tuple(float(number) for number in own)

    values = {unit: value(unit) for unit in units}

    def edit(length: int) -> list[Intervention]:
        positions = tuple(range(1, length))
        if not positions:
            return []
        return [
            Intervention(unit, "set", positions=positions, value=number)
            for unit, number in values.items()
        ]

    return edit


def placebo_units(
    units: Sequence[Unit], means: UnitMeans, rng: np.random.Generator, taken: Collection[Unit] = ()
) -> list[Unit]:
    """For each unit another of its kind and layer, of about its size; none of them twice.

    Args:
        taken: further units that are no placebos.
    """
    used = {*units, *taken}
    chosen: list[Unit] = []
    for unit in units:
        sizes = (means.head_size if unit.site == "head" else means.neuron_size)[unit.layer]
        distance = np.abs(np.log((sizes + 1e-12) / (sizes[unit.index] + 1e-12)))
        free = [
            candidate
            for index in np.argsort(distance, kind="stable").tolist()
            if (candidate := Unit(unit.site, unit.layer, int(index))) not in used
        ]
        if free:  # a layer of few heads can run out of them
            pick = free[int(rng.integers(min(NEAREST, len(free))))]
            chosen.append(pick)
            used.add(pick)
    return chosen
